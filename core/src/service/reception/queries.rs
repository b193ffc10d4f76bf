//! What is answered to VRFY, EXPN, ETRN and XFORWARD.

use super::client::Client;
use crate::directory::{Directory, Resolution};
use crate::model::{Address, Domain, Event, Reply};
use crate::service::Context;
use crate::smtp::server::Query;
use crate::state::order::{Hastening, Task};
use crate::state::requests::Purpose;
use crate::state::{StateError, layout};

/// Members of a list that are told (RFC 5321 §3.5.2). A longer one is not expanded.
const MEMBERS_TOLD: usize = 100;

pub(super) async fn answer(context: &Context, client: &Client<'_>, query: &Query) -> Reply {
    let answered = match query {
        Query::Vrfy(text, utf8) if client.offers().expn => verify(context, text, *utf8).await,
        Query::Vrfy(..) => Ok(not_verified()),
        Query::Expn(text, utf8) => expand(&context.directory, &meant(context, text), *utf8).await,
        Query::Etrn(node) => Ok(send_now(context, node).await),
        Query::Xforward(attributes) => {
            client.report("XFORWARD", attributes);
            Ok(Reply::new(250, (2, 0, 0), "ok"))
        }
    };
    answered.unwrap_or_else(|error| {
        let doing = format!("answering a question of session {}", client.session);
        context.journal.report(&Event::Trouble { doing, error: error.to_string() });
        Reply::new(451, (4, 3, 0), "storage is not available, try again later")
    })
}

/// RFC 5321 §3.5.3: a server that does not verify says so, and never a falsehood.
fn not_verified() -> Reply {
    Reply::new(252, (2, 1, 5), "addresses are not verified here; send and see")
}

/// The address that a question means: in angle brackets or without; where it has no domain, at this host.
fn meant(context: &Context, text: &str) -> Option<Address> {
    let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    match Address::parse_utf8(text) {
        Ok(address) => Some(address),
        Err(_) => Address::parse_utf8(&format!("{text}@{}", context.config.hostname)).ok(),
    }
}

/// RFC 5321 §3.5.1, for those who may ask.
async fn verify(context: &Context, text: &str, utf8: bool) -> Result<Reply, StateError> {
    let Some(address) = meant(context, text) else {
        return Ok(Reply::new(550, (5, 1, 3), "that is no address"));
    };
    if !utf8 && !address.is_ascii() {
        return Ok(Reply::new(252, (2, 1, 5), "the answer needs SMTPUTF8"));
    }
    let (hostname, postmaster) = (&context.config.hostname, context.config.postmaster.as_ref());
    let limit = context.config.smtp.recipients;
    Ok(match context.directory.resolve(&address, hostname, postmaster, limit).await? {
        Resolution::Targets(_) => Reply::new(250, (2, 1, 5), format!("<{address}>")),
        Resolution::Foreign => not_verified(),
        Resolution::NoSuchUser | Resolution::BadReturn(_) => {
            Reply::new(550, (5, 1, 1), format!("<{address}> is nobody here"))
        }
        Resolution::TooMany | Resolution::Tangled => Reply::new(252, (2, 1, 5), "it leads to very many"),
    })
}

/// RFC 5321 §3.5.2.
async fn expand(directory: &Directory, list: &Option<Address>, utf8: bool) -> Result<Reply, StateError> {
    let Some(list) = list else { return Ok(Reply::new(550, (5, 1, 3), "that is no address")) };
    let Some(members) = directory.members(list).await? else {
        return Ok(Reply::new(550, (5, 1, 1), format!("<{list}> is no alias of ours")));
    };
    if members.len() > MEMBERS_TOLD {
        return Ok(Reply::new(252, (2, 1, 5), format!("<{list}> has {} members", members.len())));
    }
    if !utf8 && members.iter().any(|member| !member.is_ascii()) {
        return Ok(Reply::new(252, (2, 1, 5), "the answer needs SMTPUTF8"));
    }
    let lines: Vec<String> = members.iter().map(|member| format!("<{member}>")).collect();
    Ok(Reply::new(250, (2, 1, 5), lines.join("\n")))
}

/// RFC 1985 §5: every message that waits for the domain, or with `@` for those below it too, is attempted now: by this node at once, by the
/// others as soon as they look, which each does at least once a minute.
async fn send_now(context: &Context, node: &str) -> Reply {
    let (name, with_subdomains) = match node.strip_prefix('@') {
        Some(name) => (name, true),
        None => (node, false),
    };
    let Ok(domain) = Domain::parse_utf8(name) else {
        return Reply::new(501, (5, 5, 4), "that is no domain");
    };
    let cannot = || Reply::new(458, (4, 3, 0), format!("cannot queue messages for {node} now"));
    let Ok(messages) = context.spool.hasten(domain.clone(), with_subdomains).await else {
        return cannot();
    };
    let now = context.requests.platform().clock.utc();
    let hastening = Hastening::new(domain, with_subdomains, now);
    let (key, nonce) = (layout::order(hastening.nonce), hastening.nonce);
    let object = Task::Domain(hastening).encode();
    // One that is there already, of this node or another, is as good.
    match context.requests.of(Purpose::Administer).create(&key, &object.payload, nonce).await {
        Ok(_) if messages == 0 => {
            Reply::new(250, (2, 0, 0), format!("queuing for node {node} started, none of it at this node"))
        }
        Ok(_) => {
            let text = format!("{messages} messages for node {node} started, and what other nodes hold");
            Reply::new(253, (2, 0, 0), text)
        }
        Err(_) => cannot(),
    }
}
