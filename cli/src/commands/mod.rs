//! What each command does.

mod account;
mod app_password;
mod certificate;
mod directory;
mod dkim;
mod drain;
mod fsck;
mod mailbox;
mod mbox;
mod queue;
mod report;
mod send;
mod serve;
mod store;
mod verify;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fulmar_core::admin::Admin;
use fulmar_core::config::{Issuer, KeySource};
use fulmar_core::http::{Client, ClientSettings};
use fulmar_core::model::event::Journal;
use fulmar_core::platform::{Clock, Host, Net, Platform, Spawn, Store};
use fulmar_core::resolver::{NameServerSource, NameServers, Resolver};
use fulmar_core::transport::{TlsClient, TlsError};
use fulmar_runtime_smol::{
    SmolClock, SmolEntropy, SmolNet, SmolRuntime, SystemNameServers, host, system_roots,
};
use fulmar_storage_s3::{DirectoryStore, Environment, MemoryStore, S3Settings, S3Store};

use crate::arguments::{Arguments, Command, ConfigCommand};
use crate::certificates;
use crate::config::{ListedKeys, Loaded, Settings, Sources, StoreUrl};
use crate::failure::Failure;
use crate::logging;
use crate::output::Output;

/// Does what was typed.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = Output { json: arguments.json };
    let loaded = load(arguments.config.as_deref())?;
    if let Command::Config(ConfigCommand::Check) = arguments.command {
        return check_config(&loaded, output);
    }
    let serving = matches!(arguments.command, Command::Serve);
    logging::begin(if serving { loaded.settings.log } else { loaded.log_of_a_tool() });
    let runtime = SmolRuntime::new(SmolRuntime::default_threads())
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let context = Context::open(loaded.settings, output, &runtime)?;
    if !serving && context.settings.store == StoreUrl::Memory {
        let reason = "the store memory: lives within `fulmar serve`; no other process can see it";
        return Err(Failure::Usage(reason.to_owned()));
    }
    runtime.block_on(async {
        match arguments.command {
            Command::Serve => serve::serve(&context).await,
            Command::Send(arguments) => send::send(&context, arguments).await,
            Command::Drain(arguments) => drain::drain(&context, arguments).await,
            Command::Domain(command) => directory::domain(&context, command).await,
            Command::Alias(command) => directory::alias(&context, command).await,
            Command::Account(command) => account::account(&context, command).await,
            Command::Certificate(command) => certificate::certificate(&context, command).await,
            Command::Queue(command) => queue::queue(&context, command).await,
            Command::Report(command) => report::report(&context, command).await,
            Command::Mailbox(command) => mailbox::mailbox(&context, command).await,
            Command::Fsck { repair } => fsck::fsck(&context, repair).await,
            Command::Verify(arguments) => verify::verify(&context, arguments).await,
            Command::Store(command) => store::store(&context, command).await,
            Command::Config(ConfigCommand::Check) => Ok(()),
        }
    })?;
    // A server said what it had to say when it began.
    if serving { Ok(()) } else { Ok(io::stdout().flush()?) }
}

/// What every command works with.
struct Context {
    settings: Settings,
    output: Output,
    platform: Platform,
    journal: Journal,
}

impl Context {
    fn open(mut settings: Settings, output: Output, runtime: &SmolRuntime) -> Result<Self, Failure> {
        prepare_tokens(&mut settings)?;
        let spawn = runtime.spawn();
        let (clock, entropy) = (Arc::new(SmolClock), Arc::new(SmolEntropy));
        let net = Arc::new(SmolNet::new(spawn.clone()));
        let store: Arc<dyn Store> = match &settings.store {
            StoreUrl::S3 { bucket, prefix } => {
                let store = open_s3(
                    settings.s3.of_bucket(bucket, prefix),
                    net.clone(),
                    clock.clone(),
                    spawn.clone(),
                )?;
                settings.engine.store.name = Some(format!("{} at {}", settings.store, store.endpoint()));
                settings.engine.store.endpoint = Some(store.endpoint().to_owned());
                Arc::new(store)
            }
            StoreUrl::Memory => Arc::new(MemoryStore::new()),
            StoreUrl::Directory(path) => {
                let opened = DirectoryStore::open(path, spawn.clone());
                Arc::new(opened.map_err(|error| Failure::Failed(error.to_string()))?)
            }
        };
        let servers: Arc<dyn NameServerSource> = match settings.dns.servers.clone() {
            NameServers { addresses, .. } if addresses.is_empty() => Arc::new(SystemNameServers::new()),
            chosen => Arc::new(chosen),
        };
        let dns = Resolver::new(servers, net.clone(), clock.clone(), entropy.clone(), spawn.clone());
        let dns = Arc::new(dns.serving_stale(settings.dns.stale));
        let roots = system_roots();
        settings.engine.relay.roots = roots.into_iter().map(|root| root.to_vec()).collect();
        let platform = Platform { store, dns, net, clock, entropy, spawn };
        Ok(Self { settings, output, platform, journal: logging::journal() })
    }

    /// This process, and what it may know of others on this machine.
    fn host(&self) -> Host {
        let host = host();
        match self.settings.adopt_local {
            true => host,
            false => Host { process: host.process, ..Host::unknown() },
        }
    }

    fn admin(&self) -> Admin {
        Admin::new(self.settings.engine.clone(), self.platform.clone(), self.journal.clone())
    }
}

/// Reads what the verification of tokens needs of this machine: issuers' keys, and whom to trust about servers.
fn prepare_tokens(settings: &mut Settings) -> Result<(), Failure> {
    let auth = &mut settings.engine.auth;
    for listed in &settings.issuers {
        let keys = match &listed.keys {
            ListedKeys::Url(url) => KeySource::Url(url.clone()),
            ListedKeys::File(path) => {
                let wrong = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
                KeySource::Set(std::fs::read_to_string(path).map_err(wrong)?)
            }
        };
        let (issuer, audience) = (listed.issuer.clone(), listed.audience.clone());
        auth.issuers.push(Issuer { issuer, audience, keys, account_claim: listed.account_claim.clone() });
    }
    if !auth.issuers.is_empty() || auth.introspection.is_some() {
        auth.roots = system_roots().into_iter().map(|root| Bytes::copy_from_slice(&root)).collect();
    }
    Ok(())
}

fn open_s3(
    settings: S3Settings,
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
) -> Result<S3Store, Failure> {
    let tls = match TlsClient::verifying(system_roots(), clock.clone()) {
        Ok(tls) => Some(tls),
        // Requests for https:// are refused then; those for http:// need none.
        Err(TlsError::NoRoots) => None,
        Err(error) => return Err(Failure::Failed(format!("cannot open TLS sessions: {error}"))),
    };
    let http = Client::new(net, clock.clone(), spawn.clone(), tls, ClientSettings::default());
    S3Store::new(&settings, &Environment::of_process(), http, clock, spawn)
        .map_err(|error| Failure::Failed(error.to_string()))
}

fn load(chosen: Option<&Path>) -> Result<Loaded, Failure> {
    Loaded::from_sources(&Sources::of_process(chosen)).map_err(Failure::Config)
}

fn check_config(loaded: &Loaded, output: Output) -> Result<(), Failure> {
    certificates::load(&loaded.settings.tls)?;
    let mut out = io::stdout().lock();
    if output.json {
        loaded.write_json(&mut out)?
    } else {
        loaded.write_toml(&mut out)?
    }
    Ok(out.flush()?)
}
