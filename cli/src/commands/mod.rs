//! What each command does.

mod account;
mod directory;
mod mailbox;
mod mbox;
mod queue;
mod send;
mod serve;
mod store;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use fulmar_core::admin::Admin;
use fulmar_core::model::event::Journal;
use fulmar_core::platform::{Platform, Store};
use fulmar_core::resolver::Resolver;
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime, system_name_servers};
use fulmar_storage_s3::{DirectoryStore, MemoryStore};

use crate::arguments::{Arguments, Command, ConfigCommand};
use crate::config::{Loaded, S3Options, Settings, Sources, StoreUrl};
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
            Command::Domain(command) => directory::domain(&context, command).await,
            Command::Alias(command) => directory::alias(&context, command).await,
            Command::Account(command) => account::account(&context, command).await,
            Command::Queue(command) => queue::queue(&context, command).await,
            Command::Mailbox(command) => mailbox::mailbox(&context, command).await,
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
        let spawn = runtime.spawn();
        let store: Arc<dyn Store> = match &settings.store {
            StoreUrl::S3 { bucket, prefix } => {
                let (store, endpoint) = open_s3(bucket, prefix, &settings.s3)?;
                settings.engine.store.name = Some(format!("{} at {endpoint}", settings.store));
                settings.engine.store.endpoint = Some(endpoint);
                store
            }
            StoreUrl::Memory => Arc::new(MemoryStore::new()),
            StoreUrl::Directory(path) => {
                let opened = DirectoryStore::open(path, spawn.clone());
                Arc::new(opened.map_err(|error| Failure::Failed(error.to_string()))?)
            }
        };
        let (clock, entropy) = (Arc::new(SmolClock), Arc::new(SmolEntropy));
        let net = Arc::new(SmolNet::new(spawn.clone()));
        let servers = match &settings.name_servers[..] {
            [] => system_name_servers(),
            chosen => chosen.to_vec(),
        };
        let dns =
            Arc::new(Resolver::new(servers, net.clone(), clock.clone(), entropy.clone(), spawn.clone()));
        let platform = Platform { store, dns, net, clock, entropy, spawn };
        Ok(Self { settings, output, platform, journal: logging::journal() })
    }

    fn admin(&self) -> Admin {
        Admin::new(self.settings.engine.clone(), self.platform.clone(), self.journal.clone())
    }
}

/// The store in a bucket, and the endpoint at which it is.
fn open_s3(bucket: &str, prefix: &str, options: &S3Options) -> Result<(Arc<dyn Store>, String), Failure> {
    let endpoint = options.endpoint.as_deref().unwrap_or("the endpoint of its region");
    let place = format!("the bucket {bucket} at {endpoint}, prefix {prefix:?}");
    Err(Failure::Failed(format!("{place}: S3 is not built into this version")))
}

fn load(chosen: Option<&Path>) -> Result<Loaded, Failure> {
    Loaded::from_sources(&Sources::of_process(chosen)).map_err(Failure::Config)
}

fn check_config(loaded: &Loaded, output: Output) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if output.json {
        loaded.write_json(&mut out)?
    } else {
        loaded.write_toml(&mut out)?
    }
    Ok(out.flush()?)
}
