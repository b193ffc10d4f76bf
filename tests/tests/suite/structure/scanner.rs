//! A light reading of Rust source: what is comment, what is code, and which paths the code names. It knows enough of
//! the grammar for the house rules and no more.

/// What kind of comment a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommentKind {
    /// `//!`: says what a module is.
    Module,
    /// Every other comment.
    Item,
}

/// One line of comment, without its slashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) line: usize,
    pub(super) kind: CommentKind,
    pub(super) text: String,
}

/// A word, `::`, or any other single character of code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A path as the code names it, with the groups of `use` spread out: `a::{b, c::d}` is `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodePath {
    pub(super) line: usize,
    /// Modules that are written out around it in the same file.
    pub(super) inline_modules: usize,
    /// The last one ends in `!` where a macro is called.
    pub(super) segments: Vec<String>,
}

/// Parts a source into its tokens, literals left out, and its comments.
pub(super) fn scan(text: &str) -> (Vec<Token>, Vec<Comment>) {
    let mut scanner = Scanner { rest: text, line: 1, tokens: Vec::new(), comments: Vec::new() };
    while !scanner.rest.is_empty() {
        scanner.step();
    }
    (scanner.tokens, scanner.comments)
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl<'a> Scanner<'a> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            let line = self.take(rest.find('\n').unwrap_or(rest.len()));
            self.comment(line);
        } else if rest.starts_with("/*") {
            let block = self.take(block_comment_length(rest));
            for (offset, line) in block.lines().enumerate() {
                let text = line.trim_start_matches(['/', '*', ' ']).to_owned();
                let line = self.line - block.matches('\n').count() + offset;
                self.comments.push(Comment { line, kind: CommentKind::Item, text });
            }
        } else if let Some(length) = literal_length(rest) {
            self.take(length);
        } else {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => rest.chars().next().map_or(1, char::len_utf8),
                length => length,
            };
            let line = self.line;
            let token = self.take(length);
            if !token.trim().is_empty() {
                self.tokens.push(Token { line, text: token.to_owned() });
            }
        }
    }

    fn comment(&mut self, line: &str) {
        let kind = if line.starts_with("//!") { CommentKind::Module } else { CommentKind::Item };
        let text = line.trim_start_matches(['/', '!']).trim().to_owned();
        self.comments.push(Comment { line: self.line, kind, text });
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string or character literal that `text` begins with.
fn literal_length(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.starts_with(['"', '\'']) || (prefix.ends_with('r') && rest.starts_with("#"))
        })
    });
    let prefix = prefix.unwrap_or_default();
    let rest = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let content = rest[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = content.find(&end).map_or(content.len(), |at| at + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    if rest.starts_with('"') {
        return Some(prefix.len() + quoted_length(rest, '"'));
    }
    let inner = rest.strip_prefix('\'')?;
    // A lifetime has no closing quote right after its first character.
    let is_character = inner.starts_with('\\') || inner.chars().nth(1) == Some('\'');
    is_character.then(|| prefix.len() + quoted_length(rest, '\''))
}

/// The length of a literal that begins and ends with `quote`.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Every path that the code names.
pub(super) fn paths(tokens: &[Token]) -> Vec<CodePath> {
    let mut finder = PathFinder { tokens, at: 0, module_depths: Vec::new(), found: Vec::new() };
    let mut depth = 0;
    while let Some(token) = tokens.get(finder.at) {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                let is_module = finder.at >= 2 && tokens[finder.at - 2].text == "mod";
                if is_module {
                    finder.module_depths.push(depth);
                }
            }
            "}" => {
                if finder.module_depths.last() == Some(&depth) {
                    finder.module_depths.pop();
                }
                depth -= 1;
            }
            _ if is_word(token) => {
                finder.path(&[]);
                continue;
            }
            _ => {}
        }
        finder.at += 1;
    }
    finder.found
}

struct PathFinder<'a> {
    tokens: &'a [Token],
    at: usize,
    /// At which depth of braces each module around the current token was opened.
    module_depths: Vec<i32>,
    found: Vec<CodePath>,
}

impl PathFinder<'_> {
    /// Reads the path that begins at the current token, which continues `prefix`.
    fn path(&mut self, prefix: &[String]) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut segments = prefix.to_vec();
        loop {
            match self.text(0) {
                "{" if !segments.is_empty() => return self.group(&segments),
                "*" if !segments.is_empty() => {
                    segments.push("*".to_owned());
                    self.at += 1;
                    break;
                }
                word => segments.push(word.to_owned()),
            }
            self.at += 1;
            let goes_on = self.text(0) == "::"
                && (matches!(self.text(1), "{" | "*") || self.tokens.get(self.at + 1).is_some_and(is_word));
            if !goes_on {
                break;
            }
            self.at += 1;
        }
        if self.text(0) == "!"
            && matches!(self.text(1), "(" | "[" | "{")
            && let Some(last) = segments.last_mut()
        {
            last.push('!');
        }
        self.found.push(CodePath { line, inline_modules: self.module_depths.len(), segments });
    }

    /// Reads `{a, b::c as d}`, each of which continues `prefix`.
    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while !matches!(self.text(0), "}" | "") {
            match self.text(0) {
                "as" => self.at += 2,
                "*" => self.path(prefix),
                _ if is_word(&self.tokens[self.at]) => self.path(prefix),
                _ => self.at += 1,
            }
        }
        self.at += 1;
    }

    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

mod tests {
    use super::*;

    fn path_texts(source: &str) -> Vec<String> {
        paths(&scan(source).0).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = r##"
            let a = "str::one // \" no comment"; // one: "str"
            let b = r#"raw::two "quoted" /* "#; /* two /* nested */ block */
            let c = b'"'; let d: &'static str = '\''; let e = br"\"; let r#type = 'x';
        "##;
        let (tokens, comments) = scan(source);
        let code: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(
            code.join(" "),
            "let a = ; let b = ; let c = ; let d : & ' static str = ; let e = ; let r # type = ;"
        );
        let texts: Vec<&str> = comments.iter().map(|comment| comment.text.as_str()).collect();
        assert_eq!(texts, ["one: \"str\"", "two /* nested */ block */"]);
    }

    #[test]
    fn paths_are_found_with_groups_spread_out() {
        for (source, expected) in [
            ("use crate::model::Reply;", "use crate::model::Reply"),
            ("use a::{self, b::{c as x, d}, e::*};", "use a::self a::b::c a::b::d a::e::*"),
            ("Vec::<a::B>::new()", "Vec a::B new"),
            ("todo!(); std::dbg!(x); a != (b)", "todo! std::dbg! x a b"),
            ("pub(super) fn f()", "pub super fn f"),
        ] {
            assert_eq!(path_texts(source).join(" "), expected, "{source}");
        }
    }

    #[test]
    fn lines_and_inline_modules_are_counted() {
        let (tokens, comments) =
            scan("//! head\nfn f() {}\nmod tests {\n  use super::x;\n}\nuse super::y; // end\n");
        let found = paths(&tokens);
        let at = |last: &str| {
            let path = found.iter().find(|path| path.segments.last().is_some_and(|s| s == last)).unwrap();
            (path.line, path.inline_modules)
        };
        assert_eq!((at("x"), at("y")), ((4, 1), (6, 0)));
        assert_eq!(comments[0].kind, CommentKind::Module);
        assert_eq!((comments[1].line, comments[1].kind), (6, CommentKind::Item));
    }
}
