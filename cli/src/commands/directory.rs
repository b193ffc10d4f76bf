//! `fulmar domain` and `fulmar alias`.

use fulmar_core::admin::AdminError;
use fulmar_core::model::{Address, Domain};
use serde_json::json;

use super::Context;
use crate::arguments::{AliasCommand, DomainCommand};
use crate::failure::Failure;

pub(super) async fn domain(context: &Context, command: DomainCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        DomainCommand::Add { domain } => {
            let added = admin.domain_add(&domain).await?;
            let words = if added { "added" } else { "was there already" };
            output.fact(&format!("{domain} {words}"), &json!({"domain": domain, "added": added}))?;
        }
        DomainCommand::List => output.list(
            &admin.domains().await?,
            ["DOMAIN", "ALIASES"],
            |domain| [domain.domain.to_string(), domain.aliases.to_string()],
            |domain| json!({"domain": domain.domain, "aliases": domain.aliases}),
        )?,
    }
    Ok(())
}

pub(super) async fn alias(context: &Context, command: AliasCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        AliasCommand::Add { alias, targets } => {
            let added = admin.alias_add(&alias, &targets).await;
            added.map_err(|error| without_domain(error, alias.domain()))?;
            let words = format!("{alias} stands for {}", join(&targets));
            output.fact(&words, &json!({"alias": alias, "targets": targets}))?;
        }
        AliasCommand::List { domain } => output.list(
            &admin.aliases(domain.as_ref()).await?,
            ["ALIAS", "TARGETS"],
            |alias| [alias.alias.to_string(), join(&alias.targets)],
            |alias| json!({"alias": alias.alias, "targets": alias.targets}),
        )?,
        AliasCommand::Remove { alias } => {
            admin.alias_remove(&alias).await?;
            output.fact(&format!("{alias} removed"), &json!({"alias": alias, "removed": true}))?;
        }
    }
    Ok(())
}

/// What to say when an alias or an account cannot be made: what is not found is its domain.
pub(super) fn without_domain(error: AdminError, domain: &Domain) -> Failure {
    match error {
        AdminError::NotFound(reason) => {
            Failure::Failed(format!("{reason}; `fulmar domain add {domain}` makes this domain yours"))
        }
        error => error.into(),
    }
}

fn join(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
