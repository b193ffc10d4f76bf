//! `fulmar serve`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use fulmar_core::admin::AdminError;
use fulmar_core::admin::prices::{dollars, dollars_to_keep_all};
use fulmar_core::config::{Listener, Protocol};
use fulmar_core::engine::{CertificateFile, Engine, Statistics};
use fulmar_core::model::{Address, Domain};
use fulmar_runtime_smol::{TcpListener, accept, listen_when_free};
use futures::channel::oneshot;
use futures::future::{Either, FutureExt, select};
use futures::stream::StreamExt;
use serde_json::json;

use super::{Context, account};
use crate::certificates;
use crate::config::{Listening, StoreUrl, localhost};
use crate::failure::Failure;
use crate::http::{self, Node};
use crate::logging;

/// How long an address may be in use still: the kernel may close the sockets of a killed predecessor a moment after its end.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);
/// The account of a server to try things on.
const TRIAL_USER: &str = "user";

pub(super) async fn serve(context: &Context) -> Result<(), Failure> {
    // Before anything else, so that no signal is lost.
    let mut signals = Signals::new([Signal::Term, Signal::Int])
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let certificates = certificates::load(&context.settings.tls)?;
    let node = Node::new(context.platform.clock.utc());
    // Before the store is touched: a second server on the same addresses must leave no trace.
    let (listeners, mail) = listen(context, &node).await?;
    let starting = start(context, &node, certificates);
    futures::pin_mut!(starting);
    let (engine, trial) = match select(starting, signals.next()).await {
        Either::Left((started, _)) => started?,
        // Nothing has been accepted yet, so nothing is to be finished.
        Either::Right(_) => return Ok(()),
    };

    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = stopped.map(drop).shared();
    for (socket, listener) in mail {
        let (engine, spawn) = (engine.clone(), context.platform.spawn.clone());
        let accepting = accept(socket, stopped.clone(), move |stream, peer| {
            let (engine, listener) = (engine.clone(), listener.clone());
            let session = async move { engine.serve(Box::new(stream), peer, &listener).await };
            spawn.spawn(Box::pin(session));
        });
        context.platform.spawn.spawn(Box::pin(accepting));
    }
    if let Err(error) = announce(&listeners, trial.as_ref()) {
        // Whoever read it may have seen enough; that is no reason to stop.
        tracing::warn!(%error, "cannot write to standard output");
    }

    signals.next().await;
    // A balancer is to know before it is refused.
    node.drains();
    drop(stop);
    let stopping = engine.shutdown(context.settings.grace);
    futures::pin_mut!(stopping);
    if let Either::Right(_) = select(stopping, signals.next()).await {
        // Whoever asks twice does not want to wait for threads either.
        std::process::exit(1);
    }
    let Statistics { accepted, delivered, store, by_purpose, .. } = engine.statistics();
    let cost = json!({"requests": dollars(&store), "storage": dollars_to_keep_all(&by_purpose)});
    let statistics = json!({
        "event": "statistics", "accepted": accepted, "delivered": delivered, "store": store, "dollars": cost
    });
    logging::report(tracing::Level::INFO, &statistics);
    Ok(())
}

/// Opens all listeners. Pages are shown from here on; who connects for mail waits until there is an engine. Gives the listeners
/// with the addresses that they got, and those of mail apart.
async fn listen(
    context: &Context,
    node: &Arc<Node>,
) -> Result<(Vec<Listening>, Vec<(TcpListener, Arc<Listener>)>), Failure> {
    let (mut listeners, mut mail, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for listener in &context.settings.listeners {
        let at = listener.address();
        let socket = listen_when_free(at, ADDRESS_PATIENCE)
            .await
            .map_err(|error| Failure::Failed(format!("cannot listen on {at}: {error}")))?;
        let address = socket.local_addr().map_err(|error| Failure::Failed(format!("{at}: {error}")))?;
        let listener = listener.at(address);
        match &listener {
            Listening::Mail(listener) => mail.push((socket, Arc::new(listener.clone()))),
            Listening::Http(_) => pages.push(socket),
        }
        listeners.push(listener);
    }
    for socket in pages {
        let serving = http::serve(socket, node.clone(), context.platform.clone());
        context.platform.spawn.spawn(Box::pin(serving));
    }
    Ok((listeners, mail))
}

/// The engine, and what a server that nobody configured has besides.
async fn start(
    context: &Context,
    node: &Arc<Node>,
    certificates: Vec<CertificateFile>,
) -> Result<(Engine, Option<Trial>), Failure> {
    let trial = match context.settings.nothing_configured {
        true => Some(Trial::prepare(context).await?),
        false => None,
    };
    let (config, platform) = (context.settings.engine.clone(), context.platform.clone());
    let journal = node.watching(context.journal.clone());
    let engine = Engine::start_patiently(config, platform, context.host(), journal).await?;
    if !certificates.is_empty() {
        engine.set_certificates(&certificates);
        let (files, platform) = (context.settings.tls.clone(), &context.platform);
        let (clock, spawn) = (platform.clock.clone(), platform.spawn.clone());
        spawn.clone().spawn(Box::pin(certificates::watch(engine.clone(), files, certificates, clock, spawn)));
    }
    node.runs(engine.clone());
    Ok((engine, trial))
}

/// Says on standard output where this node listens; whoever started it waits for these lines.
fn announce(listeners: &[Listening], trial: Option<&Trial>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for listener in listeners {
        writeln!(out, "listening {} {}", listener.protocol_name(), listener.address())?;
    }
    if let Some(trial) = trial {
        trial.welcome(&mut out, listeners)?;
    }
    out.flush()
}

/// What a server that nobody configured has.
struct Trial {
    account: Address,
    /// Where it was made just now.
    password: Option<String>,
    store: StoreUrl,
}

impl Trial {
    /// Makes the domain and the account where they are not there.
    async fn prepare(context: &Context) -> Result<Self, Failure> {
        let (admin, domain) = (context.admin(), localhost());
        admin.domain_add(&domain).await?;
        let account = trial_account(&domain)?;
        let password = account::random_password(&*context.platform.entropy);
        let password = match admin.account_add(&account, &password).await {
            Ok(()) => Some(password),
            Err(AdminError::Exists(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { account, password, store: context.settings.store.clone() })
    }

    /// The lines to paste.
    fn welcome(&self, out: &mut impl Write, listeners: &[Listening]) -> io::Result<()> {
        let (account, store, fulmar) = (&self.account, &self.store, program());
        let of = |protocol: Protocol| {
            let of_it = listeners.iter().filter(move |listener| listener.protocol_name() == protocol.name());
            of_it.map(Listening::address)
        };
        let message = r"printf 'Subject: first\r\n\r\nIt works.\r\n'";
        let password = match &self.password {
            Some(password) => format!("password {password}"),
            None => format!("password as it was; a new one: {fulmar} account passwd {account}"),
        };
        writeln!(
            out,
            "\nNothing is configured, so this is a server to try things on, for this machine only."
        )?;
        writeln!(out, "Data     {store}\nAccount  {account}, {password}")?;
        writeln!(out, "\nSend a first message, over SMTP or into the queue:")?;
        for address in of(Protocol::Smtp) {
            writeln!(
                out,
                "  {message} | curl --url smtp://{address} --mail-from {account} --mail-rcpt {account} -T -"
            )?;
        }
        writeln!(out, "  {message} | {fulmar} send --from {account} --to {account} -")?;
        writeln!(out, "Read it, over POP3 or out of the store:")?;
        // A password that is not known any more is asked for by curl.
        let login =
            self.password.as_ref().map_or_else(|| account.to_string(), |word| format!("{account}:{word}"));
        for address in of(Protocol::Pop3) {
            writeln!(out, "  curl pop3://{address}/1 --user {login}")?;
        }
        writeln!(out, "  {fulmar} mailbox list {account}\n  {fulmar} mailbox read {account} 1")
    }
}

fn trial_account(domain: &Domain) -> Result<Address, Failure> {
    Address::parse(&format!("{TRIAL_USER}@{domain}")).map_err(|error| Failure::Failed(error.to_string()))
}

/// This program as it was called, so that lines with it can be pasted.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "fulmar".to_owned())
}
