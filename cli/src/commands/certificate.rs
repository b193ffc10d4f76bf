//! `fulmar certificate`.

use std::fs;
use std::path::Path;

use fulmar_core::admin::CertificateSummary;
use serde_json::{Value, json};

use super::Context;
use crate::arguments::CertificateCommand;
use crate::failure::Failure;

pub(super) async fn certificate(context: &Context, command: CertificateCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        CertificateCommand::Add { name, chain, key } => {
            let mut pem = read(&chain)?;
            if let Some(key) = &key {
                pem.push(b'\n');
                pem.extend(read(key)?);
            }
            let added = admin.certificate_add(name.as_deref(), pem).await?;
            output.fact(&format!("{} added, {}", added.name, words(&added)), &object(&added))?;
        }
        CertificateCommand::List => output.list(
            &admin.certificates().await?,
            ["NAME", "FOR", "EXPIRES", "FAULT"],
            |summary| {
                let expires = summary.expires.map(|time| time.to_rfc3339()).unwrap_or_default();
                let fault = summary.fault.clone().unwrap_or_default();
                [summary.name.clone(), summary.names.join(","), expires, fault]
            },
            object,
        )?,
        CertificateCommand::Remove { name } => {
            admin.certificate_remove(&name).await?;
            output.fact(&format!("{name} removed"), &json!({"name": name, "removed": true}))?;
        }
    }
    Ok(())
}

fn words(summary: &CertificateSummary) -> String {
    let expires = summary.expires.map(|time| format!(", expires {time}")).unwrap_or_default();
    format!("for {}{expires}", summary.names.join(", "))
}

fn object(summary: &CertificateSummary) -> Value {
    let CertificateSummary { name, names, expires, fault } = summary;
    json!({"name": name, "names": names, "expires": expires.map(|time| time.to_rfc3339()), "fault": fault})
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
