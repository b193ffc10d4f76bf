//! `fulmar domain` and `fulmar alias`.

use fulmar_core::admin::{DomainChange, DomainSettings};
use fulmar_core::config::Obedience;
use fulmar_core::model::{Address, AliasName};
use serde_json::json;

use super::{Context, dkim};
use crate::arguments::{AliasCommand, DomainCommand};
use crate::failure::Failure;

pub(super) async fn domain(context: &Context, command: DomainCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        DomainCommand::Add { domain, options } => {
            let default = DomainSettings::default();
            let settings = DomainSettings {
                kind: options.kind().unwrap_or(default.kind),
                separator: options.separator.map_or(default.separator, |separator| separator.0),
                dmarc: options.dmarc.map_or(default.dmarc, |dmarc| dmarc.0),
            };
            let added = admin.domain_add_as(&domain, settings).await?;
            let words = match added {
                true => "added",
                false => "was there already; `fulmar domain set` changes it",
            };
            output.fact(&format!("{domain} {words}"), &json!({"domain": domain, "added": added}))?;
        }
        DomainCommand::Set(set) => {
            let change = DomainChange {
                kind: set.options.kind(),
                separator: set.options.separator.map(|separator| separator.0),
                dmarc: set.options.dmarc.map(|dmarc| dmarc.0),
                remove_recipients: set.remove_recipient,
                add_recipients: set.add_recipient,
            };
            let changed = admin.domain_set(&set.domain, &change).await;
            changed.map_err(|error| Failure::without_domain(error, &set.domain))?;
            output.fact(&format!("{} set", set.domain), &json!({"domain": set.domain, "set": true}))?;
        }
        DomainCommand::List => output.list(
            &admin.domains().await?,
            ["DOMAIN", "KIND", "SEPARATOR", "DMARC", "ALIASES", "LISTED"],
            |domain| {
                [
                    domain.domain.to_string(),
                    domain.settings.kind.name().to_owned(),
                    domain.settings.separator.map_or_else(|| "none".to_owned(), String::from),
                    domain.settings.dmarc.map_or("default", Obedience::name).to_owned(),
                    domain.aliases.to_string(),
                    domain.recipients.to_string(),
                ]
            },
            |domain| {
                json!({
                    "domain": domain.domain,
                    "kind": domain.settings.kind.name(),
                    "separator": domain.settings.separator,
                    "dmarc": domain.settings.dmarc.map(Obedience::name),
                    "aliases": domain.aliases,
                    "recipients": domain.recipients,
                })
            },
        )?,
        DomainCommand::Recipients { domain } => output.list(
            &admin.recipients(&domain).await?,
            ["RECIPIENT"],
            |recipient| [recipient.to_string()],
            |recipient| json!({"recipient": recipient}),
        )?,
        DomainCommand::RotateSrs { domain } => {
            let rotated = admin.srs_rotate(&domain).await;
            rotated.map_err(|error| Failure::without_domain(error, &domain))?;
            let words = format!("{domain} signs return addresses with a new secret");
            output.fact(&words, &json!({"domain": domain, "rotated": true}))?;
        }
        DomainCommand::Dkim(command) => dkim::dkim(context, command).await?,
    }
    Ok(())
}

pub(super) async fn alias(context: &Context, command: AliasCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        AliasCommand::Add { alias, targets } => {
            let added = match &alias {
                AliasName::Exact(address) => admin.alias_add(address, &targets).await,
                AliasName::Pattern(pattern, domain) => admin.pattern_add(pattern, domain, &targets).await,
            };
            added.map_err(|error| Failure::without_domain(error, alias.domain()))?;
            let words = format!("{alias} stands for {}", join(&targets));
            output.fact(&words, &json!({"alias": alias.to_string(), "targets": targets}))?;
        }
        AliasCommand::List { domain } => output.list(
            &admin.aliases(domain.as_ref()).await?,
            ["ALIAS", "TARGETS"],
            |alias| [alias.alias.to_string(), join(&alias.targets)],
            |alias| {
                let (name, kind) = (alias.alias.to_string(), alias.alias.kind());
                json!({"alias": name, "kind": kind, "targets": alias.targets})
            },
        )?,
        AliasCommand::Remove { alias } => {
            match &alias {
                AliasName::Exact(address) => admin.alias_remove(address).await?,
                AliasName::Pattern(pattern, domain) => admin.pattern_remove(pattern, domain).await?,
            }
            output
                .fact(&format!("{alias} removed"), &json!({"alias": alias.to_string(), "removed": true}))?;
        }
    }
    Ok(())
}

fn join(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
