//! `fulmar mailbox`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fulmar_core::admin::{Admin, Listing, MessageReader};
use fulmar_core::model::Address;
use serde_json::json;

use super::Context;
use super::mbox::MboxWriter;
use crate::arguments::{Form, MailboxCommand, Messages, Read};
use crate::failure::Failure;

pub(super) async fn mailbox(context: &Context, command: MailboxCommand) -> Result<(), Failure> {
    match command {
        MailboxCommand::List { account, mailbox } => list(context, &account, &mailbox).await,
        MailboxCommand::Read(arguments) => read(context, arguments).await,
    }
}

async fn list(context: &Context, account: &Address, mailbox: &str) -> Result<(), Failure> {
    let messages = context.admin().mailbox(account, mailbox).await?;
    context.output.list(
        &messages,
        ["UID", "OCTETS", "RECEIVED", "FLAGS", "QUEUE ID"],
        |message| {
            [
                message.uid.to_string(),
                message.size.to_string(),
                message.received.to_rfc3339(),
                message.flags.join(" "),
                message.queue_id.map(|id| id.to_string()).unwrap_or_default(),
            ]
        },
        |message| {
            json!({
                "uid": message.uid,
                "size": message.size,
                "received": message.received.to_rfc3339(),
                "flags": message.flags,
                "queue_id": message.queue_id,
            })
        },
    )?;
    Ok(())
}

/// How messages are written.
enum Target {
    Stored,
    Headers,
    Mbox,
    Folder(PathBuf),
}

async fn read(context: &Context, arguments: Read) -> Result<(), Failure> {
    let Read { account, messages, mailbox, form, .. } = arguments;
    let range = match messages {
        Some(Messages::One(uid)) => uid..=uid,
        Some(Messages::Range(first, last)) => first..=last,
        None => 1..=u32::MAX,
    };
    let one = matches!(messages, Some(Messages::One(_)));
    let target = target(form, one)?;
    if let Target::Folder(folder) = &target {
        fs::create_dir_all(folder).map_err(|error| told(folder, &error))?;
    }
    let admin = context.admin();
    let mut found = admin.mailbox(&account, &mailbox).await?;
    found.retain(|message| range.contains(&message.uid));
    if one && found.is_empty() {
        return Err(Failure::Failed(format!("no message {} in {mailbox} of {account}", range.start())));
    }
    for message in &found {
        write(&admin, &account, &mailbox, message, &target).await?;
    }
    Ok(())
}

fn target(form: Form, one: bool) -> Result<Target, Failure> {
    match form {
        Form { output: Some(folder), .. } => Ok(Target::Folder(folder)),
        Form { mbox: true, .. } => Ok(Target::Mbox),
        Form { headers: true, .. } => Ok(Target::Headers),
        Form { raw, .. } if raw || one => Ok(Target::Stored),
        _ => {
            let reason = "several messages need --mbox, --output DIR, --headers or --raw";
            Err(Failure::Usage(reason.to_owned()))
        }
    }
}

async fn write(
    admin: &Admin,
    account: &Address,
    mailbox: &str,
    message: &Listing,
    target: &Target,
) -> Result<(), Failure> {
    let mut reader = admin.message(account, mailbox, message.uid).await?;
    match target {
        Target::Stored => copy(&mut reader, |piece| Ok(io::stdout().write_all(piece)?)).await?,
        Target::Headers => {
            let (header, mut out) = (reader.header(), io::stdout().lock());
            out.write_all(&header)?;
            if !header.ends_with(b"\r\n\r\n") {
                out.write_all(b"\r\n")?;
            }
        }
        Target::Mbox => {
            let mut out = io::stdout();
            let mut mbox = MboxWriter::begin(&mut out, message.received)?;
            copy(&mut reader, |piece| Ok(mbox.write(piece)?)).await?;
            mbox.finish()?;
        }
        Target::Folder(folder) => {
            let path = folder.join(format!("{}.eml", message.uid));
            let mut file = File::create(&path).map_err(|error| told(&path, &error))?;
            copy(&mut reader, |piece| file.write_all(piece).map_err(|error| told(&path, &error))).await?;
        }
    }
    Ok(())
}

/// Hands the whole content to `take`, piece by piece.
async fn copy(
    reader: &mut MessageReader,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Some(piece) = reader.next().await? {
        take(&piece)?;
    }
    Ok(())
}

fn told(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{}: {error}", path.display()))
}
