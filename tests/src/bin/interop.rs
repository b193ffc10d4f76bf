//! Real clients against the real binary: named cases, each from an empty store.
//!
//! `interop --fulmar PATH [--long] [--only PART_OF_A_NAME] [--messages N] [--kills N] [--seed N]`

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fulmar_tests::Fallible;
use fulmar_tests::case::{PATIENCE, RECIPIENT, jobs, read_back, site};
use fulmar_tests::client::Client;
use fulmar_tests::clients::{Answer, retrieve_by_poplib, send_by_smtplib, send_by_swaks};
use fulmar_tests::cluster_run;
use fulmar_tests::corpus::{made_message, with_attachment};
use fulmar_tests::forwarder_case;
use fulmar_tests::hop_cases;
use fulmar_tests::http_cases;
use fulmar_tests::ledger::Ledger;
use fulmar_tests::ledger_run::{self, Plan};
use fulmar_tests::nmap_cases;
use fulmar_tests::openspf;
use fulmar_tests::postfix_cases;
use fulmar_tests::process::{PASSWORD, Server, Site, free_address};
use fulmar_tests::relay_run;
use fulmar_tests::replay_case;
use fulmar_tests::s3_cases;
use fulmar_tests::signature_cases;
use fulmar_tests::small_disk::SmallDisk;
use fulmar_tests::submission_cases;
use fulmar_tests::tls_cases;

/// What a case is given.
struct Setting {
    program: PathBuf,
    /// The program that audits from outside.
    ledger: PathBuf,
    /// Where cargo builds: fetched messages are kept there.
    target: PathBuf,
    plan: Plan,
}

type Case = (&'static str, fn(&Setting) -> Fallible<String>);

const CASES: [Case; 28] = [
    ("a_server_that_nobody_configured_prints_lines_that_work", unconfigured),
    ("a_message_sent_by_swaks_is_read_back", sent_by_swaks),
    ("a_message_sent_by_smtplib_is_read_back", sent_by_smtplib),
    ("a_message_sent_by_the_command_line_is_read_back", sent_by_command_line),
    ("messages_are_retrieved_and_deleted_by_poplib", retrieved_by_poplib),
    ("the_first_greeting_comes_soon_after_a_cold_start", cold_start),
    ("a_second_process_on_the_same_store_joins_and_both_deliver", two_nodes),
    ("twenty_clients_that_send_25_mib_each_are_all_served", large_messages),
    ("http_pages_tell_whether_a_node_starts_serves_waits_for_its_store_or_ends", |setting| {
        http_cases::pages_follow_the_node(&setting.program)
    }),
    ("a_node_that_is_told_twice_to_end_does_so_at_once", |setting| {
        http_cases::second_signal_ends_at_once(&setting.program)
    }),
    ("certificates_are_shown_renewed_and_shared_under_real_clients", |setting| {
        tls_cases::certificates_are_shown_renewed_and_shared(&setting.program)
    }),
    ("submission_clients_deliver_in_all_their_modes_and_are_refused_with_wrong_passwords", |setting| {
        submission_cases::clients_submit_and_deliver(&setting.program)
    }),
    ("postfix_as_client_relays_submits_and_delivers_and_gives_back_what_is_refused", |setting| {
        postfix_cases::postfix_relays_submits_and_delivers(&setting.program)
    }),
    ("mail_is_authenticated_directly_and_through_postfix_by_the_names_that_nsd_serves", |setting| {
        forwarder_case::mail_stays_authentic_through_a_forwarder(&setting.program)
    }),
    ("nmap_finds_no_open_relay_and_no_users", |setting| {
        nmap_cases::nmap_finds_no_open_relay(&setting.program)
    }),
    ("spf_is_right_in_every_case_of_openspf", |setting| openspf::every_case_is_right(&setting.target)),
    ("a_verification_is_recorded_and_run_again_without_name_servers", |setting| {
        replay_case::a_verification_is_run_again(&setting.program)
    }),
    ("on_a_full_disk_clients_are_told_to_come_back_and_nothing_is_half_kept", full_disk),
    ("s3_seaweedfs_keeps_through_a_kill_what_it_took", |_| s3_cases::seaweedfs_keeps_objects()),
    ("s3_ceph_rgw_keeps_through_a_kill_what_it_took", |_| s3_cases::ceph_rgw_keeps_objects()),
    ("s3_seaweedfs_keeps_the_contract", |_| s3_cases::seaweedfs_keeps_contract()),
    ("s3_ceph_rgw_keeps_the_contract", |_| s3_cases::ceph_rgw_keeps_contract()),
    ("s3_the_binary_checks_seaweedfs_and_keeps_mail_there", |setting| {
        s3_cases::seaweedfs_is_taken_by_binary(&setting.program)
    }),
    ("dkimpy_and_opendkim_verify_what_we_sign_and_we_what_they_sign", |setting| {
        signature_cases::signatures_are_exchanged(&setting.target, setting.plan.seed)
    }),
    ("postfix_and_aiosmtpd_keep_what_they_took", |_| hop_cases::hops_keep_messages()),
    ("the_ledger_balances_though_the_server_is_killed_again_and_again", ledger),
    ("the_ledger_balances_on_s3_with_half_of_the_mail_relayed_though_both_are_killed", relay_ledger),
    ("the_ledger_balances_behind_haproxy_though_any_of_three_nodes_is_killed_or_stopped", cluster_ledger),
];

const LARGE_CLIENTS: usize = 20;
const LARGE_SIZE: usize = 25 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments) {
        Ok((setting, only)) => run_cases(&setting, &only),
        Err(error) => {
            println!(
                "{error}\ninterop --fulmar PATH [--long] [--only PART] [--messages N] [--kills N] [--seed N]"
            );
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Fallible<(Setting, String)> {
    let executable = std::env::current_exe()?;
    let profile = executable.parent().ok_or("no folder above this program")?;
    let target = profile.parent().ok_or("no folder above the profile's")?.to_owned();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut setting = Setting {
        program: profile.join("fulmar"),
        ledger: profile.join("ledger"),
        target,
        plan: Plan { messages: 1_000, kills: 20, seed },
    };
    let mut only = String::new();
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--fulmar" => setting.program = fs::canonicalize(value()?)?,
            "--long" => (setting.plan.messages, setting.plan.kills) = (5_000, 200),
            "--only" => only = value()?.clone(),
            "--messages" => setting.plan.messages = value()?.parse()?,
            "--kills" => setting.plan.kills = value()?.parse()?,
            "--seed" => setting.plan.seed = value()?.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    Ok((setting, only))
}

/// Runs the chosen cases and closes as cargo's own tests do, so that one reader can sum them all up.
fn run_cases(setting: &Setting, only: &str) -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    let started = Instant::now();
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(only)) {
        let began = Instant::now();
        let result = catch_unwind(|| case(setting)).unwrap_or_else(|_| Err("it panicked, see above".into()));
        let (verdict, report) = match result {
            Ok(report) => {
                passed += 1;
                ("ok", report)
            }
            Err(error) => {
                failed += 1;
                ("FAILED", error.to_string())
            }
        };
        println!("test interop::{name} ... {verdict} ({:.1?})", began.elapsed());
        for line in report.lines() {
            println!("    {line}");
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; finished in {:.1?}",
        started.elapsed()
    );
    ExitCode::from(u8::from(failed > 0))
}

fn sent_by_swaks(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let server = site.serve(free_address()?)?;
    let jobs = jobs(&site, &mut ledger, "swaks", 4, |dice, n| made_message(dice, 2_000, n % 2 == 0))?;
    send_by_swaks(&jobs, server.address(), PATIENCE, |answer| ledger.answer(answer))?;
    read_back(&site, ledger)
}

fn sent_by_smtplib(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let server = site.serve(free_address()?)?;
    let jobs = jobs(&site, &mut ledger, "smtplib", 4, |dice, n| made_message(dice, 2_000, n % 2 == 0))?;
    send_by_smtplib(&jobs, server.address(), 2, PATIENCE, |answer| ledger.answer(answer))?;
    read_back(&site, ledger)
}

/// `fulmar send` has no server to talk to: it writes a log of its own and leaves it to whoever serves.
fn sent_by_command_line(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let _server = site.serve(free_address()?)?;
    for job in jobs(&site, &mut ledger, "send", 1, |dice, _| made_message(dice, 2_000, true))? {
        let file = job.file.display().to_string();
        let printed =
            site.run(["send", "--from", &job.reverse_path, "--to", RECIPIENT, &file, "--json"], b"")?;
        let reply: serde_json::Value = serde_json::from_slice(&printed)?;
        let queue_id = reply["queue_id"].as_str().map(ToOwned::to_owned);
        ledger.answer(Answer { id: job.id, whole: true, queue_id, reply: reply.to_string() });
    }
    read_back(&site, ledger)
}

fn retrieved_by_poplib(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let pop3 = free_address()?;
    let server = site.serve_with_pop3(free_address()?, pop3)?;
    let jobs = jobs(&site, &mut ledger, "poplib", 10, |dice, n| match n {
        0 => with_attachment(dice, 5 << 20),
        n => made_message(dice, 20_000, n % 2 == 0),
    })?;
    send_by_smtplib(&jobs, server.address(), 2, PATIENCE, |answer| ledger.answer(answer))?;
    site.wait_until_delivered()?;
    let (login, folder) = ((RECIPIENT, PASSWORD), site.scratch()?);
    let retrieved = retrieve_by_poplib(pop3, login, &folder, false)?;
    for message in &retrieved {
        let content = fs::read(&message.file)?;
        if content.len() as u64 != message.octets {
            return Err(format!("{message:?} has {} octets", content.len()).into());
        }
        ledger.find(RECIPIENT, message.uid, &content);
    }
    let verdict = ledger.verdict();
    if !verdict.is_clean() {
        return Err(verdict.to_string().into());
    }
    let deleted = retrieve_by_poplib(pop3, login, &folder, true)?.len();
    let left = (site.uids(RECIPIENT)?, retrieve_by_poplib(pop3, login, &folder, true)?.len());
    if (deleted, &left) != (retrieved.len(), &(Vec::new(), 0)) {
        return Err(format!("deleted {deleted} of {}, and {left:?} are left", retrieved.len()).into());
    }
    Ok(format!("{verdict}\n{deleted} deleted"))
}

fn cold_start(setting: &Setting) -> Fallible<String> {
    let site = site(&setting.program)?;
    let mut starts = Vec::new();
    for _ in 0..5 {
        let server = site.serve(free_address()?)?;
        starts.push(server.first_greeting()?);
        server.stop()?;
    }
    Ok(format!("from the start of the process to the first 220: {starts:.1?}"))
}

fn two_nodes(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let servers = [site.serve(free_address()?)?, site.serve(free_address()?)?];
    for (number, server) in servers.iter().enumerate() {
        let name = format!("node{number}");
        let jobs = jobs(&site, &mut ledger, &name, 50, |dice, _| made_message(dice, 5_000, false))?;
        send_by_smtplib(&jobs, server.address(), 4, PATIENCE, |answer| ledger.answer(answer))?;
    }
    read_back(&site, ledger)
}

fn large_messages(setting: &Setting) -> Fallible<String> {
    let mut ledger = Ledger::default();
    let site = site(&setting.program)?;
    let server = site.serve(free_address()?)?;
    let jobs = jobs(&site, &mut ledger, "large", LARGE_CLIENTS, |dice, _| with_attachment(dice, LARGE_SIZE))?;
    let began = Instant::now();
    send_by_smtplib(&jobs, server.address(), LARGE_CLIENTS, PATIENCE, |answer| ledger.answer(answer))?;
    let sent = began.elapsed();
    let report = read_back(&site, ledger)?;
    Ok(format!("sent in {sent:.1?}; {}\n{report}", memory(&server)?))
}

/// Pastes the lines that `fulmar serve` prints when nothing is configured: they send two messages and read the first, over POP3 too.
fn unconfigured(setting: &Setting) -> Fallible<String> {
    let home = tempfile::TempDir::with_prefix("fulmar-home-")?;
    let (mut server, lines) = Server::unconfigured(&setting.program, home.path())?;
    let mut printed = String::new();
    for line in &lines {
        if line.contains("pop3://") || line.contains("mailbox") {
            server.wait_for_log(" attempted ", 1)?;
        }
        let mut shell = Command::new("sh");
        shell.args(["-ec", line.trim()]).env_clear().env("HOME", home.path());
        let output = shell.env("PATH", std::env::var("PATH")?).output()?;
        if !output.status.success() {
            return Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        printed.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    for part in ["Return-Path: <user@localhost>\r\n", "Subject: first\r\n\r\nIt works.\r\n"] {
        if printed.matches(part).count() != 2 {
            return Err(format!("{part:?} is not twice in what they print:\n{printed}").into());
        }
    }
    Ok(format!("{} lines pasted", lines.len()))
}

fn full_disk(setting: &Setting) -> Fallible<String> {
    let disk = SmallDisk::mount(16 << 20)?;
    let site = Site::below(disk.path(), &setting.program, &[RECIPIENT.to_owned()])?;
    let server = site.serve(free_address()?)?;
    let mut client = Client::greeted(server.address());
    let first = client.deliver(&[RECIPIENT], "Subject: before\r\n\r\nroom\r\n");
    site.wait_until_delivered()?;
    let filler = disk.fill()?;
    let began = Instant::now();
    for (subject, octets) in [("small", 10_000), ("large", 4 << 20)] {
        client.begin(&[RECIPIENT]);
        client.send(format!("Subject: {subject}\r\n\r\n"));
        client.send("no room for this line\r\n".repeat(octets / 23));
        client.send(".\r\n");
        match client.reply_within(Duration::from_secs(60)) {
            Some(reply) if reply.starts_with("451 4.3.0 ") => {}
            other => return Err(format!("on a full disk {subject} was answered {other:?}").into()),
        }
    }
    let told = began.elapsed();
    fs::remove_file(filler)?;
    let last = client.deliver(&[RECIPIENT], "Subject: after\r\n\r\nroom again\r\n");
    site.wait_until_delivered()?;
    let kept = site.list(&["mailbox", "list", RECIPIENT, "--json"])?;
    let kept: Vec<_> = kept.iter().filter_map(|message| message["queue_id"].as_str()).collect();
    if kept != [first.as_str(), last.as_str()] {
        return Err(format!("accepted {first} and {last}, but the mailbox holds {kept:?}").into());
    }
    Ok(format!("two messages answered 451 in {told:.1?}, and taken again without a restart"))
}

fn memory(server: &Server) -> Fallible<String> {
    Ok(format!(
        "peak resident set of the server {:.1} MiB",
        server.peak_memory()? as f64 / f64::from(1 << 20)
    ))
}

fn ledger(setting: &Setting) -> Fallible<String> {
    ledger_run::run(&setting.program, &setting.target, setting.plan)
}

fn cluster_ledger(setting: &Setting) -> Fallible<String> {
    cluster_run::run(&setting.program, &setting.ledger, &setting.target, setting.plan)
}

fn relay_ledger(setting: &Setting) -> Fallible<String> {
    relay_run::run(&setting.program, &setting.target, setting.plan)
}
