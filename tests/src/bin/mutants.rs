//! Plants each defect of `tests/mutants/` into a copy of the sources, and sees whether the simulator catches it.
//!
//! `mutants [--seeds N] [NAME...]`: all of them, or those whose names begin so.
//!
//! A patch is a unified diff under two lines of words: what it breaks, and `sim:` with the options of the scenarios that are to catch it.
//! A defect counts as caught by a seed that fails with it and passes without. A patch that does not apply or does not build fails, as does
//! a defect that no seed catches.
//!
//! Where whole nodes cannot come to the state in which the defect would show, the second line is `model:` with the variant of the model that
//! has it: then the patch has to apply and to build, and it is the model that has to go wrong.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Instant;
use std::{fmt, fs};

use fulmar_tests::Fallible;
use fulmar_tests::model::explorer::explore;
use fulmar_tests::model::writer::{self, Writer};

/// Seeds within which each defect is to be caught.
const SEEDS: u64 = 2_000;
/// What of the workspace is no source.
const NO_SOURCES: [&str; 3] = ["target", ".git", "mutants"];
/// Lines of a failed command that are told.
const TOLD_LINES: usize = 30;

struct Mutant {
    name: String,
    patch: PathBuf,
    /// What it breaks.
    words: String,
    /// What is to catch it.
    proof: Proof,
}

enum Proof {
    /// The simulator, with these options.
    Simulator(Vec<String>),
    /// A variant of a model.
    Model(writer::Mutant),
}

/// The seed, or the count of a model's states, that caught a mutant.
struct Caught {
    by: By,
    /// What was found broken.
    reason: String,
}

#[derive(Clone, Copy)]
enum By {
    Seed(u64),
    States(usize),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::States(states) => write!(f, "{states} states of the model"),
        }
    }
}

/// A copy of the workspace that mutants are planted in, and the folder that it is built in.
struct Nursery {
    workspace: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all were caught.
fn run(mut arguments: impl Iterator<Item = String>) -> Fallible<bool> {
    let (mut seeds, mut wanted) = (SEEDS, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => seeds = arguments.next().ok_or("--seeds wants a number")?.parse()?,
            _ => wanted.push(argument),
        }
    }
    let nursery = Nursery::new()?;
    let mutants = read_mutants(&nursery.workspace.join("tests/mutants"))?;
    let is_wanted =
        |mutant: &Mutant| wanted.is_empty() || wanted.iter().any(|name| mutant.name.starts_with(name));
    let mutants: Vec<Mutant> = mutants.into_iter().filter(is_wanted).collect();
    if mutants.is_empty() {
        return Err("there is no such mutant".into());
    }
    nursery.renew()?;
    let plain = nursery.target.join("sim-without-mutants");
    fs::copy(nursery.build()?, &plain)?;
    println!("| mutant | breaks | caught at | by | seconds |\n|---|---|---|---|---|");
    let mut all_caught = true;
    for mutant in &mutants {
        let began = Instant::now();
        let outcome = nursery.try_out(mutant, &plain, seeds);
        all_caught &= matches!(outcome, Ok(Some(_)));
        let (by, reason) = match outcome {
            Ok(Some(Caught { by, reason })) => (by.to_string(), reason),
            Ok(None) => ("not caught".to_owned(), format!("{seeds} seeds pass")),
            Err(error) => ("FAILED".to_owned(), error.to_string()),
        };
        let seconds = began.elapsed().as_secs();
        println!("| {} | {} | {by} | {reason} | {seconds} |", mutant.name, mutant.words);
    }
    nursery.renew()?;
    Ok(all_caught)
}

/// The mutants of a folder, by name.
fn read_mutants(folder: &Path) -> Fallible<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for entry in fs::read_dir(folder)? {
        let patch = entry?.path();
        let Some(name) = patch.file_name().and_then(|name| name.to_str()?.strip_suffix(".patch")) else {
            continue;
        };
        let text = fs::read_to_string(&patch)?;
        let mut lines = text.lines();
        let words = lines.next().unwrap_or_default().to_owned();
        let proof = lines.next().and_then(read_proof);
        let proof =
            proof.ok_or_else(|| format!("{name}: its second line does not say what is to catch it"))?;
        mutants.push(Mutant { name: name.to_owned(), patch, words, proof });
    }
    mutants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutants)
}

fn read_proof(line: &str) -> Option<Proof> {
    match line.split_once(':')? {
        ("sim", options) => Some(Proof::Simulator(options.split_whitespace().map(str::to_owned).collect())),
        ("model", " writer NoSecondLook") => Some(Proof::Model(writer::Mutant::NoSecondLook)),
        _ => None,
    }
}

impl Nursery {
    /// Beside this program, where builds are kept: what has been built once is not built again.
    fn new() -> Fallible<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let program = std::env::current_exe()?;
        let builds = program.parent().and_then(Path::parent).ok_or("this program lies nowhere")?;
        let folder = builds.join("mutants");
        let (copy, target) = (folder.join("source"), folder.join("target"));
        fs::create_dir_all(&copy)?;
        fs::create_dir_all(&target)?;
        Ok(Self { workspace, copy, target })
    }

    /// Makes the copy what the workspace is. Files that are the same stay untouched, so that they are not built again.
    fn renew(&self) -> Fallible<()> {
        Ok(copy_folder(&self.workspace, &self.copy)?)
    }

    /// Builds the simulator's program, and gives where it lies.
    fn build(&self) -> Fallible<PathBuf> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--profile", "ci", "-p", "fulmar-tests", "--bin", "sim"]);
        cargo.current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target).env("CARGO_INCREMENTAL", "1");
        done(&mut cargo)?;
        Ok(self.target.join("ci/sim"))
    }

    fn try_out(&self, mutant: &Mutant, plain: &Path, seeds: u64) -> Fallible<Option<Caught>> {
        self.renew()?;
        let mut patch = Command::new("patch");
        patch.args(["-p1", "--batch", "--forward", "--no-backup-if-mismatch"]).current_dir(&self.copy);
        done(patch.stdin(fs::File::open(&mutant.patch)?))?;
        let sim = self.build()?;
        match &mutant.proof {
            Proof::Simulator(options) => {
                let mut from = 0;
                while let Some((seed, reason)) = first_failure(&sim, options, from, seeds)? {
                    let alone = ["--seed", &seed.to_string()];
                    if Command::new(plain).args(options).args(alone).output()?.status.success() {
                        return Ok(Some(Caught { by: By::Seed(seed), reason }));
                    }
                    println!("seed {seed} fails without {}, too: {reason}", mutant.name);
                    from = seed + 1;
                }
                Ok(None)
            }
            Proof::Model(mutant) => {
                let explored = explore(&Writer { mutant: Some(*mutant) });
                let by = By::States(explored.states);
                Ok(explored.found.map(|found| Caught { by, reason: found.reason.to_owned() }))
            }
        }
    }
}

/// The first seed that fails, from one on and below a bound.
fn first_failure(sim: &Path, options: &[String], from: u64, below: u64) -> Fallible<Option<(u64, String)>> {
    let count = below.saturating_sub(from).to_string();
    let mut run = Command::new(sim);
    let output = run
        .args(options)
        .args(["--from", &from.to_string(), "--seeds", &count, "--until-failure"])
        .output()?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let seed = lines.find_map(|line| line.strip_prefix("seed ")?.strip_suffix(':')?.parse().ok());
    let seed = seed.ok_or_else(|| format!("the simulator failed: {}", last_lines(&output)))?;
    let reason = lines.next().unwrap_or_default().trim();
    let reason = reason.split_once(':').map_or(reason, |(invariant, _)| invariant).to_owned();
    Ok(Some((seed, reason)))
}

/// Runs a command to its end, and fails where it does.
fn done(command: &mut Command) -> Fallible<()> {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), last_lines(&output)).into())
}

fn last_lines(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if NO_SOURCES.iter().any(|no_source| name == *no_source) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        names.insert(name);
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
            continue;
        }
        let octets = fs::read(&from)?;
        if fs::read(&to).ok().as_deref() != Some(&octets[..]) {
            fs::write(&to, octets)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    Ok(())
}
