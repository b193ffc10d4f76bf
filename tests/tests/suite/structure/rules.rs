//! The house rules: each is a function from sources to violations.

use std::fmt;

use super::scanner::{CodePath, CommentKind, Token, paths, scan};

/// One Rust source or manifest.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Where a rule is broken, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Lines that a source may have.
const LINE_LIMIT: usize = 500;

/// The modules of core by rank. A module imports only lower ranks.
const RANKS: [&[&str]; 9] = [
    &["model"],
    &["platform", "config"],
    &["sasl"],
    &["smtp", "pop3", "imap"],
    &["transport", "resolver", "state"],
    &["conversation", "http", "authn"],
    &["queue", "mailbox", "directory", "policy", "delivery"],
    &["service"],
    &["engine", "admin"],
];

/// A package beside the workspace, which the fuzzer alone builds; it has versions of its own.
const FUZZER: (&str, &str, &[&str]) = ("tests/fuzz", "fulmar-fuzz", &["fulmar-core"]);

/// The members of the workspace, and which of the others each may depend on.
const MEMBERS: [(&str, &str, &[&str]); 6] = [
    ("core", "fulmar-core", &[]),
    ("runtime-smol", "fulmar-runtime-smol", &["fulmar-core"]),
    ("storage-s3", "fulmar-storage-s3", &["fulmar-core"]),
    ("cli", "fulmar", &["fulmar-core", "fulmar-runtime-smol", "fulmar-storage-s3"]),
    ("tests", "fulmar-tests", &["fulmar-core", "fulmar-runtime-smol", "fulmar-storage-s3", "fulmar"]),
    (
        "benches",
        "fulmar-benches",
        &["fulmar-core", "fulmar-runtime-smol", "fulmar-storage-s3", "fulmar", "fulmar-tests"],
    ),
];

/// What core may not name, because it learns of the world only through the doors: any of these, anywhere in a path.
/// A final `::` stands for whatever follows.
const BANNED_IN_CORE: [&str; 24] = [
    "SystemTime",
    "Instant::now",
    "std::time::Instant",
    "Utc::now",
    "Local::now",
    "std::thread",
    "thread::spawn",
    "thread::sleep",
    "rand::",
    "SystemRandom",
    "OsRng",
    "getrandom",
    "std::fs",
    "std::env",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "HashMap",
    "HashSet",
    "futures::select!",
    "tokio",
    "smol",
    "async_io",
];

/// Macros that stand for unfinished work.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// The conditional request that the design does without. In two halves, since this source is read too.
const CONDITIONAL_WRITE: &str = concat!("If-", "Match");

/// Every violation of every rule.
pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let rules = [
        module_arrows,
        crate_arrows,
        long_sources,
        ambient_calls_in_core,
        test_branches_in_core,
        unfinished_work,
        tests_of_programs,
        conditional_writes,
        references_without_section,
        versions_outside_the_workspace,
    ];
    rules.into_iter().flat_map(|rule| sources.iter().flat_map(rule)).collect()
}

/// Modules of core import only lower ranks.
fn module_arrows(source: &Source) -> Vec<Violation> {
    let Some(module) = core_module(source) else { return Vec::new() };
    let top = module.first().copied();
    if let Some(top) = top
        && rank(top).is_none()
    {
        return vec![source.broken(1, format!("core's module `{top}` has no rank"))];
    }
    let (tokens, _) = scan(&source.text);
    let judge = |path: &CodePath| {
        let target = top_module(path, module.len())?;
        let what = match (top, rank(target)) {
            (_, None) => format!("`{target}` is no module with a rank"),
            (Some(top), _) if top == target => return None,
            (Some(top), to) if rank(top) <= to => {
                format!("`{top}` imports `{target}`, whose rank is not lower")
            }
            _ => return None,
        };
        Some(source.broken(path.line, what))
    };
    paths(&tokens).iter().filter_map(judge).collect()
}

/// `core/src/queue/log.rs` is the module `["queue", "log"]`.
fn core_module(source: &Source) -> Option<Vec<&str>> {
    let file = source.path.strip_prefix("core/src/")?.strip_suffix(".rs")?;
    let mut module: Vec<&str> = file.split('/').collect();
    if matches!(module.last(), Some(&"mod" | &"lib")) {
        module.pop();
    }
    Some(module)
}

/// The first segment below the crate's root, where the path starts from there. `depth` is that of the file's module.
fn top_module(path: &CodePath, depth: usize) -> Option<&str> {
    let mut segments = path.segments.iter().map(String::as_str).peekable();
    if segments.next_if_eq(&"crate").is_none() {
        segments.next_if_eq(&"self");
        let mut above = 0;
        while segments.next_if_eq(&"super").is_some() {
            above += 1;
        }
        if above == 0 || above < depth + path.inline_modules {
            return None;
        }
    }
    // `pub(crate)` and `pub(in super)` name no module.
    segments.next()
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

/// Members of the workspace depend on each other one way.
fn crate_arrows(source: &Source) -> Vec<Violation> {
    let Some(folder) = source.path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let known = MEMBERS.iter().chain([&FUZZER]).find(|(member, ..)| *member == folder);
    let Some((_, name, allowed)) = known else {
        return vec![source.broken(1, format!("`{folder}` is no member that the design knows"))];
    };
    let mut violations = Vec::new();
    for (line, dependency, _) in dependencies(&source.text) {
        let is_member = MEMBERS.iter().any(|(_, member, _)| *member == dependency);
        if is_member && !allowed.contains(&dependency) {
            violations.push(source.broken(line, format!("`{name}` depends on `{dependency}`")));
        }
    }
    violations
}

/// Versions stand once, in the workspace's manifest.
fn versions_outside_the_workspace(source: &Source) -> Vec<Violation> {
    let folder = source.path.strip_suffix("/Cargo.toml");
    if folder.is_none_or(|folder| folder == FUZZER.0) {
        return Vec::new();
    }
    let is_elsewhere = |(line, name, setting): (usize, &str, &str)| {
        let compact: String = setting.split_whitespace().collect();
        (!compact.contains("workspace=true"))
            .then(|| source.broken(line, format!("`{name}` is not taken from the workspace")))
    };
    dependencies(&source.text).into_iter().filter_map(is_elsewhere).collect()
}

/// Line, name and setting of each dependency of any kind, each on one line as we write them.
fn dependencies(manifest: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    let mut in_dependencies = false;
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            in_dependencies = section.ends_with("dependencies");
            // `[dependencies.name]` hides its settings from a reader of lines: it counts as one without any.
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push((number + 1, name, ""));
            }
        } else if in_dependencies && let Some((name, setting)) = line.split_once('=') {
            let name = name.trim();
            let bare = name.split('.').next().unwrap_or(name);
            found.push((number + 1, bare, if bare == name { setting } else { &line[bare.len() + 1..] }));
        }
    }
    found
}

/// Sources stay short enough to be read from top to bottom.
fn long_sources(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    let is_long = source.is_rust() && lines > LINE_LIMIT;
    is_long
        .then(|| source.broken(lines, format!("{lines} lines; {LINE_LIMIT} are allowed")))
        .into_iter()
        .collect()
}

/// Core names no clock, chance, thread, file, socket, runtime or unordered map.
fn ambient_calls_in_core(source: &Source) -> Vec<Violation> {
    if !source.is_core() {
        return Vec::new();
    }
    banned_paths(source, &BANNED_IN_CORE)
}

/// Nothing is left undone or kept though unused.
fn unfinished_work(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut violations = banned_paths(source, &UNFINISHED);
    let (tokens, _) = scan(&source.text);
    for (at, token) in tokens.iter().enumerate() {
        let is_ignored_test = starts_with(&tokens[at..], &["#", "[", "ignore"]);
        if is_ignored_test || token.text == "dead_code" {
            violations.push(
                source.broken(
                    token.line,
                    format!("`{}`", if is_ignored_test { "ignore" } else { "dead_code" }),
                ),
            );
        }
    }
    violations
}

/// Programs beside a library have no tests of their own, which nobody would run: their manifests say `test = false`.
fn tests_of_programs(source: &Source) -> Vec<Violation> {
    if !source.is_rust() || !source.path.contains("/src/bin/") {
        return Vec::new();
    }
    let (tokens, _) = scan(&source.text);
    let is_test = |at: &usize| starts_with(&tokens[*at..], &["#", "[", "test", "]"]);
    let found = (0..tokens.len()).filter(is_test);
    found.map(|at| source.broken(tokens[at].line, "a test that is not run".to_owned())).collect()
}

/// Whether a module comes first, whoever may see it.
fn begins_module(tokens: &[Token]) -> bool {
    let is_first = tokens.first().is_some_and(|token| matches!(token.text.as_str(), "mod" | "pub"));
    let before = tokens.iter().take_while(|token| token.text != "mod");
    is_first && !before.into_iter().any(|token| matches!(token.text.as_str(), "{" | ";"))
}

/// In core, what is compiled for tests alone is a module, never a branch in the code that runs in production.
fn test_branches_in_core(source: &Source) -> Vec<Violation> {
    if !source.is_core() {
        return Vec::new();
    }
    let (tokens, _) = scan(&source.text);
    let mut violations = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text.starts_with("cfg")) {
        let rest = &tokens[at..];
        let condition = rest.iter().take_while(|token| !matches!(token.text.as_str(), "{" | "]" | ";"));
        let is_module = starts_with(rest, &["cfg", "(", "test", ")", "]"]) && begins_module(&rest[5..]);
        if condition.into_iter().any(|token| token.text == "test") && !is_module {
            violations.push(source.broken(token.line, "a branch for tests".to_owned()));
        }
    }
    violations
}

/// Only creates and plain puts exist, so that every store will do.
fn conditional_writes(source: &Source) -> Vec<Violation> {
    let broken = |(number, line): (usize, &str)| {
        line.contains(CONDITIONAL_WRITE).then(|| source.broken(number + 1, CONDITIONAL_WRITE.to_owned()))
    };
    source.text.lines().enumerate().filter(|_| source.is_rust()).filter_map(broken).collect()
}

/// A reference to an RFC says where in it to look. The head of a module may name a document as a whole.
fn references_without_section(source: &Source) -> Vec<Violation> {
    if !source.is_core() {
        return Vec::new();
    }
    let (_, comments) = scan(&source.text);
    let mut violations = Vec::new();
    for (at, comment) in comments.iter().enumerate().filter(|(_, c)| c.kind == CommentKind::Item) {
        // A reference may be broken between two lines of one comment.
        let next = comments.get(at + 1).filter(|next| next.line == comment.line + 1);
        let text = format!("{} {}", comment.text, next.map_or("", |next| &next.text));
        for (start, _) in comment.text.match_indices("RFC") {
            let after = text[start + "RFC".len()..].trim_start();
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let section = after[digits..].trim_start();
            if digits > 0 && !section.starts_with('§') && !section.starts_with("Appendix") {
                let what = format!("RFC {} without a section", &after[..digits]);
                violations.push(source.broken(comment.line, what));
            }
        }
    }
    violations
}

/// Violations for every path of the source in which a banned one occurs.
fn banned_paths(source: &Source, banned: &[&str]) -> Vec<Violation> {
    let (tokens, _) = scan(&source.text);
    let judge = |path: &CodePath| {
        let is_named = |banned: &&&str| {
            let banned: Vec<&str> = banned.split("::").collect();
            path.segments.windows(banned.len()).any(|part| {
                part.iter().zip(&banned).all(|(segment, banned)| banned.is_empty() || segment == banned)
            })
        };
        banned.iter().find(is_named).map(|banned| source.broken(path.line, format!("`{banned}`")))
    };
    paths(&tokens).iter().filter_map(judge).collect()
}

fn starts_with(tokens: &[Token], expected: &[&str]) -> bool {
    tokens.len() >= expected.len() && tokens.iter().zip(expected).all(|(token, text)| token.text == *text)
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_core(&self) -> bool {
        self.path.starts_with("core/src/") && self.is_rust()
    }

    fn broken(&self, line: usize, what: String) -> Violation {
        Violation { path: self.path.clone(), line, what }
    }
}

mod tests;
