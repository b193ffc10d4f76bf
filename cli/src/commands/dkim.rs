//! `fulmar domain dkim`. Private keys are never shown.

use std::fs;

use fulmar_core::admin::{DomainKeySummary, KeyState, NewKeys};
use fulmar_core::model::Domain;
use serde_json::{Value, json};

use super::Context;
use crate::arguments::DkimCommand;
use crate::failure::Failure;
use crate::output::Output;

/// Octets of one string of a TXT record (RFC 1035 §3.3).
const STRING: usize = 255;

pub(super) async fn dkim(context: &Context, command: DkimCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        DkimCommand::List { domain } => output.list(
            &admin.dkim_list(&domain).await?,
            ["SELECTOR", "ALGORITHM", "STATE", "SINCE", "CREATED"],
            |key| {
                let (since, created) = (key.since.to_rfc3339(), key.created.to_rfc3339());
                let (algorithm, state) = (key.algorithm.name().to_owned(), key.state.name().to_owned());
                [key.selector.clone(), algorithm, state, since, created]
            },
            object,
        )?,
        DkimCommand::Generate { domain, selector, algorithm, active } => {
            let algorithms = algorithm.into_iter().map(Into::into).collect();
            let order = NewKeys { selector, algorithms, is_active: active };
            let made = admin.dkim_generate(&domain, &order).await;
            tell(output, &domain, &made.map_err(|error| Failure::without_domain(error, &domain))?)?;
        }
        DkimCommand::Import { domain, selector, key, active } => {
            let pem =
                fs::read(&key).map_err(|error| Failure::Failed(format!("{}: {error}", key.display())))?;
            let imported = admin.dkim_import(&domain, &selector, &pem, active).await;
            tell(output, &domain, &[imported.map_err(|error| Failure::without_domain(error, &domain))?])?;
        }
        DkimCommand::Activate { domain, selector, unchecked } => {
            let key = admin.dkim_activate(&domain, &selector, !unchecked).await?;
            tell(output, &domain, &[key])?;
        }
        DkimCommand::Rotate { domain, unchecked } => {
            tell(output, &domain, &admin.dkim_rotate(&domain, !unchecked).await?)?;
        }
        DkimCommand::Retire { domain, selector } => {
            tell(output, &domain, &[admin.dkim_retire(&domain, &selector).await?])?;
        }
        DkimCommand::Remove { domain, selector } => {
            admin.dkim_remove(&domain, &selector).await?;
            let object = json!({"domain": domain, "selector": selector, "removed": true});
            output.fact(&format!("{selector} of {domain} removed"), &object)?;
        }
    }
    Ok(())
}

/// What has become of keys, and what is to be done about it.
fn tell(output: Output, domain: &Domain, keys: &[DomainKeySummary]) -> Result<(), Failure> {
    for key in keys {
        output.fact(&words(domain, key), &object(key))?;
    }
    if keys.iter().any(|key| key.state == KeyState::Published) {
        output.remark(&format!(
            "Put this into the DNS; once it is there, `fulmar domain dkim rotate {domain}` has the new keys sign."
        ))?;
    }
    Ok(())
}

fn words(domain: &Domain, key: &DomainKeySummary) -> String {
    let DomainKeySummary { selector, state, record, .. } = key;
    let words = format!("{selector} of {domain} is {}", state.name());
    match (state, record) {
        (KeyState::Retiring, _) => {
            format!("{words}; leave its record in the DNS for a week, then remove both")
        }
        (_, Some(record)) => format!("{words}\n{}", zone_form(&key.name, record)),
        (_, None) => format!("{words}, and cannot be read"),
    }
}

fn object(key: &DomainKeySummary) -> Value {
    json!({
        "selector": key.selector,
        "algorithm": key.algorithm.name(),
        "state": key.state.name(),
        "since": key.since.to_rfc3339(),
        "created": key.created.to_rfc3339(),
        "name": key.name,
        "record": key.record,
        "zone": key.record.as_ref().map(|record| zone_form(&key.name, record)),
    })
}

/// A TXT record as it stands in the file of a zone (RFC 1035 §5.1). Its text has no character that would need a backslash.
fn zone_form(name: &str, record: &str) -> String {
    let mut form = format!("{name}. IN TXT (\n");
    let mut rest = record;
    while !rest.is_empty() {
        let (string, later) = rest.split_at(rest.len().min(STRING));
        form.push_str(&format!("    \"{string}\"\n"));
        rest = later;
    }
    form + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_cut_into_strings_of_at_most_255_octets() {
        for (octets, strings) in
            [(1, vec![1]), (255, vec![255]), (256, vec![255, 1]), (511, vec![255, 255, 1])]
        {
            let record = "p".repeat(octets);
            let form = zone_form("a._domainkey.x.test", &record);
            let inner =
                form.strip_prefix("a._domainkey.x.test. IN TXT (\n").unwrap().strip_suffix(")").unwrap();
            let texts: Vec<_> = inner.lines().map(|line| line.trim().trim_matches('"')).collect();
            assert_eq!(texts.iter().map(|text| text.len()).collect::<Vec<_>>(), strings, "{form}");
            assert_eq!(texts.concat(), record);
        }
    }
}
