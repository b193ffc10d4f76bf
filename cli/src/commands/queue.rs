//! `fulmar queue`.

use std::io::{self, Write};

use fulmar_core::admin::{Action, QueueItem};
use fulmar_core::model::{Domain, QueueId, ReversePath};
use serde_json::{Value, json};

use super::Context;
use crate::arguments::QueueCommand;
use crate::failure::Failure;

pub(super) async fn queue(context: &Context, command: QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::List => list(context).await,
        QueueCommand::Show { id } => show(context, id).await,
        QueueCommand::Retry { id } => order(context, id, Action::Retry).await,
        QueueCommand::Cancel { id } => order(context, id, Action::Cancel).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let items = context.admin().queue().await?;
    context.output.list(
        &items,
        ["QUEUE ID", "STATE", "ATTEMPTS", "NEXT ATTEMPT", "REVERSE-PATH", "FORWARD-PATH", "LAST REPLY"],
        |item| {
            [
                item.queue_id.to_string(),
                item.state.to_string(),
                item.attempts.to_string(),
                item.next_attempt.to_rfc3339(),
                bracketed(&item.reverse_path),
                item.forward_path.to_string(),
                item.last_reply.clone().unwrap_or_default(),
            ]
        },
        object,
    )?;
    Ok(())
}

async fn show(context: &Context, id: QueueId) -> Result<(), Failure> {
    let mut items = context.admin().queue().await?;
    items.retain(|item| item.queue_id == id);
    let Some(first) = items.first() else {
        let reason = format!("{id} is not in the queue: nothing is left to do for it, or it never was");
        return Err(Failure::Failed(reason));
    };
    let mut out = io::stdout().lock();
    if context.output.json {
        items.iter().try_for_each(|item| writeln!(out, "{}", object(item)))?;
        return Ok(());
    }
    writeln!(out, "queue id      {id}")?;
    writeln!(out, "reverse-path  {}", bracketed(&first.reverse_path))?;
    writeln!(out, "accepted      {}", first.accepted.to_rfc3339())?;
    writeln!(out, "octets        {}", first.size)?;
    writeln!(out, "node          {}", first.node)?;
    if let Some(verdict) = &first.verdict {
        let author = verdict.author_domain.as_ref().map_or("nobody in particular", Domain::as_str);
        let treated = if verdict.is_quarantined { "suspicious" } else { "delivered" };
        writeln!(out, "dmarc         {} for {author}; {treated}: {}", verdict.result, verdict.reason)?;
    }
    for item in &items {
        writeln!(out, "\nforward-path  {}", item.forward_path)?;
        writeln!(out, "state         {}", item.state)?;
        writeln!(out, "attempts      {}", item.attempts)?;
        writeln!(out, "next attempt  {}", item.next_attempt.to_rfc3339())?;
        writeln!(out, "last reply    {}", item.last_reply.as_deref().unwrap_or("none yet"))?;
    }
    Ok(())
}

async fn order(context: &Context, id: QueueId, action: Action) -> Result<(), Failure> {
    context.admin().order(id, action).await?;
    let ordered = action.name();
    context.output.fact(&format!("{id}: {ordered} ordered"), &json!({"queue_id": id, "ordered": ordered}))?;
    Ok(())
}

fn bracketed(path: &ReversePath) -> String {
    format!("<{path}>")
}

fn object(item: &QueueItem) -> Value {
    json!({
        "queue_id": item.queue_id,
        "reverse_path": item.reverse_path,
        "forward_path": item.forward_path,
        "state": item.state.to_string(),
        "attempts": item.attempts,
        "next_attempt": item.next_attempt.to_rfc3339(),
        "last_reply": item.last_reply,
        "node": item.node,
        "size": item.size,
        "accepted": item.accepted.to_rfc3339(),
        "verdict": item.verdict,
    })
}
