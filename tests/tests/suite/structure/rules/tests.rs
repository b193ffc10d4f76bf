//! Every rule is given sources that break it and sources that keep it.

use super::*;

/// Lines of the violations that `rule` finds.
fn lines(rule: fn(&Source) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    let source = Source { path: path.to_owned(), text: text.to_owned() };
    rule(&source).iter().map(|violation| violation.line).collect()
}

#[track_caller]
fn check_rule(rule: fn(&Source) -> Vec<Violation>, cases: &[(&str, &str, &[usize])]) {
    for (path, text, expected) in cases {
        assert_eq!(lines(rule, path, text), *expected, "{path}: {text}");
    }
}

#[test]
fn a_module_that_imports_its_own_rank_or_a_higher_one_is_found() {
    check_rule(
        module_arrows,
        &[
            ("core/src/smtp/server.rs", "use crate::model::Reply;\nuse crate::smtp::syntax;", &[]),
            ("core/src/model/id.rs", "\nuse crate::platform::Clock;", &[2]),
            ("core/src/config.rs", "fn f(c: &crate::platform::Clock) {}", &[1]),
            ("core/src/queue/log.rs", "use super::super::mailbox::Chain;", &[1]),
            ("core/src/queue/log.rs", "use super::entry::Entry;\nuse super::super::state::Frame;", &[]),
            ("core/src/queue/mod.rs", "use super::service::Reception;", &[1]),
            (
                "core/src/queue/mod.rs",
                "mod tests {\n use super::*;\n use super::super::engine::Engine;\n}",
                &[3],
            ),
            ("core/src/state/log.rs", "use crate::{model::Nonce, queue::{Entry, Log}};", &[1, 1]),
            ("core/src/state/log.rs", "use crate::Nonce;", &[1]),
            ("core/src/state/log.rs", "use crate::*;", &[1]),
            ("core/src/state/log.rs", "pub(crate) fn f() {} // crate::engine\npub(super) fn g() {}", &[]),
            ("core/src/lib.rs", "pub mod model;\npub use crate::model::Reply;", &[]),
            ("core/src/utils.rs", "", &[1]),
            ("cli/src/main.rs", "use crate::args::Args;", &[]),
        ],
    );
}

#[test]
fn a_dependency_between_members_against_the_arrows_is_found() {
    check_rule(
        crate_arrows,
        &[
            ("core/Cargo.toml", "[dev-dependencies]\nfulmar-tests.workspace = true", &[2]),
            ("storage-s3/Cargo.toml", "[dependencies]\nfulmar-runtime-smol = { workspace = true }", &[2]),
            ("runtime-smol/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nfulmar.workspace = true", &[2]),
            ("tests/Cargo.toml", "[dependencies.fulmar-benches]\nworkspace = true", &[1]),
            ("cli/Cargo.toml", "[dependencies]\nfulmar-core.workspace = true\nfutures.workspace = true", &[]),
            ("utils/Cargo.toml", "[package]", &[1]),
            ("Cargo.toml", "[workspace.dependencies]\nfulmar-core = { path = \"core\" }", &[]),
        ],
    );
}

#[test]
fn a_version_outside_the_workspace_manifest_is_found() {
    check_rule(
        versions_outside_the_workspace,
        &[
            ("core/Cargo.toml", "[dependencies]\nbytes = \"1\"\nulid.version = \"1\"", &[2, 3]),
            ("core/Cargo.toml", "[dependencies.bytes]\nversion = \"1\"", &[1]),
            (
                "cli/Cargo.toml",
                "[build-dependencies]\ncc = { version = \"1\", features = [\"parallel\"] }",
                &[2],
            ),
            (
                "cli/Cargo.toml",
                "[package]\nversion = \"1\"\n[dependencies]\na.workspace = true\nb = { workspace = true, features = [\"x\"] }",
                &[],
            ),
            ("Cargo.toml", "[workspace.dependencies]\nbytes = \"1\"", &[]),
        ],
    );
}

#[test]
fn a_source_that_is_too_long_is_found() {
    let longest = "\n".repeat(LINE_LIMIT);
    let too_long = "\n".repeat(LINE_LIMIT + 1);
    check_rule(
        long_sources,
        &[
            ("cli/src/main.rs", &longest, &[]),
            ("cli/src/main.rs", &too_long, &[LINE_LIMIT + 1]),
            ("Cargo.toml", &too_long, &[]),
        ],
    );
}

#[test]
fn ambient_time_chance_threads_and_io_in_core_are_found() {
    for line in [
        "let t = std::time::SystemTime::now();",
        "use std::time::{Duration, Instant};",
        "let t = Instant::now();",
        "std::thread::spawn(f);",
        "thread::sleep(pause);",
        "let n: u8 = rand::random();",
        "use ring::rand::SecureRandom;",
        "getrandom::fill(&mut b)?;",
        "use std::{fmt, fs as files};",
        "let s = std::net::TcpStream::connect(a);",
        "use std::net::{IpAddr, UdpSocket};",
        "let v = std::env::var(\"X\");",
        "let m: HashMap<u8, u8>;",
        "use std::collections::HashSet;",
        "futures::select! { a = b => c }",
        "tokio::spawn(f);",
        "smol::block_on(f);",
        "use async_io::Timer;",
    ] {
        assert_eq!(lines(ambient_calls_in_core, "core/src/queue/log.rs", line), [1], "{line}");
        assert_eq!(lines(ambient_calls_in_core, "runtime-smol/src/lib.rs", line), [0; 0], "{line}");
    }
    for line in [
        "use std::net::{IpAddr, SocketAddr};",
        "futures::select_biased! { a = b => c }",
        "use futures::future::select;",
        "let now = clock.instant(); // not Instant::now",
        "let text = \"std::fs::read\";",
        "let operand = operand::new(rand);",
    ] {
        assert_eq!(lines(ambient_calls_in_core, "core/src/queue/log.rs", line), [0; 0], "{line}");
    }
}

#[test]
fn a_branch_for_tests_in_core_is_found() {
    check_rule(
        test_branches_in_core,
        &[
            ("core/src/a.rs", "#[cfg(test)]\nmod tests {}", &[]),
            ("core/src/a.rs", "#[cfg(test)]\nfn helper() {}", &[1]),
            ("core/src/a.rs", "#[cfg(not(test))]\nmod real;", &[1]),
            ("core/src/a.rs", "if cfg!(test) { skip(); }", &[1]),
            ("core/src/a.rs", "#[cfg_attr(test, derive(Debug))]\nstruct S;", &[1]),
            ("core/src/a.rs", "#[cfg(all(unix, test))]\nmod tests;", &[1]),
            ("core/src/a.rs", "#[cfg(unix)]\nfn test() {}", &[]),
        ],
    );
}

#[test]
fn unfinished_work_is_found_anywhere() {
    check_rule(
        unfinished_work,
        &[
            (
                "cli/src/a.rs",
                "fn f() { todo!() }\nfn g() { std::unimplemented!(\"x\") }\nfn h() { dbg!(1); }",
                &[1, 2, 3],
            ),
            ("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", &[2]),
            ("core/src/a.rs", "#[allow(dead_code)]\nfn f() {}", &[1]),
            ("core/src/a.rs", "// todo!() and #[ignore] in words", &[]),
        ],
    );
}

#[test]
fn a_test_in_a_program_beside_a_library_is_found() {
    check_rule(
        tests_of_programs,
        &[
            ("tests/src/bin/a.rs", "mod tests {\n#[test]\nfn f() {}\n}", &[2]),
            ("tests/src/bin/a.rs", "// #[test]", &[]),
            ("tests/src/a.rs", "#[test]\nfn f() {}", &[]),
        ],
    );
}

#[test]
fn conditional_writes_are_found_in_any_text() {
    let header = format!("let name = \"{CONDITIONAL_WRITE}\";");
    check_rule(
        conditional_writes,
        &[
            ("storage-s3/src/a.rs", &header, &[1]),
            ("storage-s3/src/a.rs", "let name = \"If-None-Match\";", &[]),
        ],
    );
}

#[test]
fn a_reference_without_a_section_is_found() {
    check_rule(
        references_without_section,
        &[
            (
                "core/src/a.rs",
                "/// As in RFC 5321 §4.1.\n// RFC 6376 Appendix A\n// RFC 5321\n// §4.5.3",
                &[],
            ),
            ("core/src/a.rs", "//! Words are those of RFC 5321.", &[]),
            ("core/src/a.rs", "/// As in RFC 5321.", &[1]),
            ("core/src/a.rs", "fn f() {} // RFC5321, RFC 5322 §2", &[1]),
            ("core/src/a.rs", "/* RFC 3848 */", &[1]),
            ("core/src/a.rs", "let text = \"RFC 5321\"; // the RFC editor", &[]),
            ("tests/a.rs", "// RFC 5321", &[]),
        ],
    );
}
