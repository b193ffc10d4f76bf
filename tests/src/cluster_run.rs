//! The ledger run of many nodes: three processes on a real S3 server behind HAProxy take mail from several senders, while
//! nodes are killed, stopped for a minute, and told to end, and the S3 server is killed too. Nodes start anew, but none
//! takes a short way to its predecessor's mail: each is watched like a node on another machine.
//!
//! Afterwards another program, `ledger`, judges by what clients were answered and what is stored; and this one, by the
//! nodes' logs, whether a dead node's mail was taken over in time, and whether nodes knew who their clients are.

mod cluster;
mod killer;
mod load;
mod logs;
mod takeovers;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;

use self::cluster::{Cluster, Fault};
use self::killer::Killer;
use self::load::Load;
use crate::Fallible;
use crate::corpus::real_messages;
use crate::haproxy::HaProxy;
use crate::ledger_run::Plan;
use crate::process::{Settings, Site};
use crate::relay_run::s3_environment;
use crate::s3_server::{S3Server, SeaweedFs};
use crate::smtp_servers::Aiosmtpd;

const ACCOUNTS: usize = 10;
/// Goes to the other host, which takes it.
const REMOTE_DOMAIN: &str = "remote.test";
/// Goes to the other host, which takes it only from time to time, so that nodes always hold something.
const LATER_DOMAIN: &str = "later.test";
/// How long the other host takes no mail for that domain, and then how long it does.
const BUSY: (Duration, Duration) = (Duration::from_secs(40), Duration::from_secs(8));
/// Addresses that clients connect from.
const CLIENTS: [IpAddr; 4] = [client(9), client(10), client(11), client(12)];
/// Of a busy machine's nodes: until all of them listen again, or the clients have got their answers.
const PATIENCE: Duration = Duration::from_secs(120);

const fn client(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))
}

/// Runs it with as many disturbances as the plan has kills, and gives the report. A breach of the ledger's rules, or a
/// takeover that comes too late, is an error that holds the report. `ledger` is the program that audits.
pub fn run(program: &Path, ledger: &Path, target: &Path, plan: Plan) -> Fallible<String> {
    let started = Instant::now();
    let place = TempDir::with_prefix("fulmar-cluster-")?;
    let folder = |name: &str| -> Fallible<PathBuf> {
        let folder = place.path().join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    };
    let books = folder("books")?;
    let store = SeaweedFs::start(&folder("s3")?)?;
    let aiosmtpd = Aiosmtpd::start(&folder("aiosmtpd")?)?;
    let environment = s3_environment(store.bucket());
    let accounts: Vec<String> = (0..ACCOUNTS).map(account).collect();
    let settings = Settings { environment: environment.clone(), ..Settings::default() };
    let site = Site::with(place.path(), program, &accounts, settings)?;
    let mut cluster = Cluster::start(program, &folder("nodes")?, store, aiosmtpd.address())?;
    let balancer = HaProxy::start(&folder("haproxy")?, &cluster.backends())?;
    let mut report = format!("{} disturbances, seed {}", plan.kills, plan.seed);
    write!(report, ", three nodes ready after {:.1?}", started.elapsed())?;

    let disturbing = Instant::now();
    let load = Load::start(&balancer, &CLIENTS, &books, real_messages(target)?, plan.seed)?;
    let mut gate = Gate { aiosmtpd: &aiosmtpd, is_busy: false, until: Instant::now() };
    let ran = Killer::new(plan).run(&mut cluster, || gate.tick());
    let calm = cluster.recover(PATIENCE);
    gate.open()?;
    let served = ran.and(calm).and_then(|()| load.finish(PATIENCE));
    let drained = served.and_then(|sent| {
        write!(report, ", disturbed for {:.0?}: {sent}", disturbing.elapsed())?;
        let draining = Instant::now();
        site.wait_until_delivered()?;
        write!(report, "\nqueue empty {:.1?} later", draining.elapsed())?;
        cluster.stop()
    });
    write!(report, "\n{}", killer::tally(&cluster.faults))?;

    let ended = now();
    let logs = logs::read(&cluster)?;
    let (takeovers, in_time) = takeovers::judge(&cluster.faults, &logs, ended);
    write!(report, "\n{takeovers}")?;
    let (clients, known) = logs::clients(&logs, &CLIENTS);
    write!(report, "\n{clients}")?;
    write_faults(&books, &cluster.faults, ended)?;
    let audit = Command::new(ledger)
        .arg("--books")
        .arg(&books)
        .arg("--remote")
        .arg(aiosmtpd.messages())
        .args(["--domains", &format!("{REMOTE_DOMAIN},{LATER_DOMAIN}")])
        .arg("--fulmar")
        .arg(program)
        .envs(environment)
        .output()?;
    let findings = String::from_utf8_lossy(&audit.stdout);
    write!(report, "\n{findings}")?;
    if let Err(error) = &drained {
        write!(report, "\n{error}")?;
    }
    if drained.is_ok() && in_time && known && audit.status.success() {
        return Ok(report);
    }
    let trouble = drained.err().map(|error| error.to_string()).unwrap_or_default();
    write!(report, "\n{}", logs::post_mortem(&format!("{findings}\n{trouble}"), &books, &logs)?)?;
    write!(report, "\n{}", killer::timeline(&cluster.faults, ended))?;
    Err(report.into())
}

fn account(number: usize) -> String {
    format!("u{number}@example.org")
}

/// Since 1970, as the nodes' logs say it.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether the other host takes mail for [`LATER_DOMAIN`].
struct Gate<'a> {
    aiosmtpd: &'a Aiosmtpd,
    is_busy: bool,
    until: Instant,
}

impl Gate<'_> {
    /// Opens or closes it when it is time.
    fn tick(&mut self) -> Fallible<()> {
        if Instant::now() < self.until {
            return Ok(());
        }
        self.is_busy = !self.is_busy;
        self.until = Instant::now() + if self.is_busy { BUSY.0 } else { BUSY.1 };
        self.aiosmtpd.set_busy(LATER_DOMAIN, self.is_busy)
    }

    fn open(&mut self) -> Fallible<()> {
        if self.is_busy {
            self.is_busy = false;
            self.aiosmtpd.set_busy(LATER_DOMAIN, false)?;
        }
        Ok(())
    }
}

/// What the ledger may know of the run: what was done to whom, and when.
fn write_faults(books: &Path, faults: &[Fault], ended: Duration) -> Fallible<()> {
    let mut file = File::create(books.join("faults.jsonl"))?;
    for fault in faults {
        let host = fault.node.map(cluster::hostname);
        let until = fault.until.unwrap_or(ended).as_secs_f64();
        let line =
            json!({"host": host, "kind": fault.kind.name(), "at": fault.at.as_secs_f64(), "until": until});
        writeln!(file, "{line}")?;
    }
    Ok(())
}
