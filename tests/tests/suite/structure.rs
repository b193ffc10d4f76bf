//! The structure test: reads the workspace's own sources and holds them to the house rules.
//!
//! `scanner` tells code from comments and finds the paths that code names; `rules` turns a set of sources into
//! violations, one function per rule. Each rule is also given sources that break it, so that it is seen to fail.

mod rules;
mod scanner;

use std::fs;
use std::path::Path;

use rules::Source;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 2] = ["target", "out"];

#[test]
fn the_workspace_keeps_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is one level up");
    let mut sources = Vec::new();
    read_sources(root, "", &mut sources);
    for expected in ["Cargo.toml", "core/Cargo.toml", "core/src/lib.rs", "tests/tests/suite/structure.rs"] {
        assert!(sources.iter().any(|source| source.path == expected), "{expected} was not read");
    }
    let violations = rules::check(&sources);
    let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} violations:\n{}", list.len(), list.join("\n"));
}

/// Reads every Rust source and manifest below `root/folder`, with paths relative to `root`.
fn read_sources(root: &Path, folder: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder of the workspace can be listed") {
        let name = entry.expect("an entry can be read").file_name().into_string().expect("names are UTF-8");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if root.join(&path).is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                read_sources(root, &path, sources);
            }
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            let text = fs::read_to_string(root.join(&path)).expect("sources are UTF-8");
            sources.push(Source { path, text });
        }
    }
}
