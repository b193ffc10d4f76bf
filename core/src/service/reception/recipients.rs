//! Whom a message goes to: what is named, after aliases were followed.

use std::collections::BTreeMap;

use crate::directory::{Resolution, Target};
use crate::model::{Address, Event, RecipientOptions, Reply};
use crate::policy::{Origin, may_relay};
use crate::queue::Addressee;
use crate::service::Context;

/// The recipients of a transaction after expansion.
pub(in crate::service) type Recipients = BTreeMap<Address, Addressee>;

/// What all recipients that an operator names come to. None where one is refused.
pub(in crate::service) async fn resolve_all(
    context: &Context,
    named: &[Address],
) -> Result<Recipients, Reply> {
    let mut recipients = Recipients::new();
    for address in named {
        let targets = resolve(context, Origin::Operator, address).await?;
        let options = RecipientOptions::default();
        add(&mut recipients, address, &options, targets, context.config.smtp.recipients)?;
    }
    Ok(recipients)
}

/// What one recipient comes to, or what its client is told (RFC 5321 §3.3, RFC 3463 §3.2).
pub(super) async fn resolve(
    context: &Context,
    origin: Origin,
    address: &Address,
) -> Result<Vec<Target>, Reply> {
    let config = &context.config;
    let (postmaster, limit) = (config.postmaster.as_ref(), config.smtp.recipients);
    match context.directory.resolve(address, &config.hostname, postmaster, limit).await {
        Ok(Resolution::Targets(targets)) => Ok(targets),
        Ok(Resolution::TooMany) => {
            let text = format!("<{address}> comes to more recipients than a message may have");
            Err(Reply::new(452, (4, 5, 3), text))
        }
        Ok(Resolution::Tangled) => {
            Err(Reply::new(451, (4, 2, 4), format!("<{address}> leads through too many aliases")))
        }
        Ok(Resolution::NoSuchUser) => Err(Reply::new(550, (5, 1, 1), format!("<{address}> is nobody here"))),
        // RFC 3463 §3.8: nobody may send by way of us but to whom we have told the address.
        Ok(Resolution::BadReturn(fault)) => {
            Err(Reply::new(550, (5, 7, 1), format!("<{address}> is no return address of ours: {fault}")))
        }
        Ok(Resolution::Foreign) if may_relay(config, origin) => Ok(vec![Target::relay(address.clone())]),
        Ok(Resolution::Foreign) => Err(Reply::new(550, (5, 7, 1), format!("<{address}>: relaying denied"))),
        Err(error) => {
            let doing = format!("resolving {address}");
            context.journal.report(&Event::Trouble { doing, error: error.to_string() });
            Err(Reply::new(451, (4, 3, 0), "storage is not available, try again later"))
        }
    }
}

/// Two recipients that come to the same address get one copy. All targets are taken or, beyond the limit, none.
pub(super) fn add(
    recipients: &mut Recipients,
    named: &Address,
    options: &RecipientOptions,
    targets: Vec<Target>,
    limit: usize,
) -> Result<(), Reply> {
    let new = targets.iter().filter(|target| !recipients.contains_key(&target.address)).count();
    if recipients.len() + new > limit {
        let text = "too many recipients; send the rest in another transaction";
        return Err(Reply::new(452, (4, 5, 3), text));
    }
    for target in targets {
        let alias = (target.address != *named).then(|| named.clone());
        let Target { address, class } = target;
        let options = options.clone();
        recipients.entry(address.clone()).or_insert(Addressee { address, alias, class, options });
    }
    Ok(())
}
