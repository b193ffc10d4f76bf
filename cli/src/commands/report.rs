//! `fulmar report`.

use fulmar_core::admin::ReceivedSummary;
use fulmar_core::model::UtcTime;
use fulmar_core::model::dmarc_report::Record;
use serde_json::{Value, json};

use super::Context;
use crate::arguments::ReportCommand;
use crate::failure::Failure;

pub(super) async fn report(context: &Context, command: ReportCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        ReportCommand::List { domain } => output.list(
            &admin.received_reports(domain.as_ref()).await?,
            ["ID", "DOMAIN", "BEGIN", "MESSAGES", "REPORTER", "DMARC"],
            |summary| {
                let report = &summary.report;
                let (domain, messages) = (report.domain.to_string(), report.messages.to_string());
                [
                    summary.id.clone(),
                    domain,
                    time(report.begin),
                    messages,
                    reporter(summary),
                    verdict(summary),
                ]
            },
            object,
        )?,
        ReportCommand::Show { id } => {
            let (summary, feedback) = admin.received_report(&id).await?;
            let report = &summary.report;
            output.remark(&format!(
                "{} about {}, {} to {}, by {} (dmarc={})\n",
                summary.id,
                report.domain,
                time(report.begin),
                time(report.end),
                reporter(&summary),
                verdict(&summary)
            ))?;
            output.list(
                &feedback.record,
                ["SOURCE", "COUNT", "DISPOSITION", "DKIM", "SPF", "FROM"],
                |record| {
                    let evaluated = &record.row.policy_evaluated;
                    [
                        shown(&record.row.source_ip),
                        record.row.count.to_string(),
                        shown(&evaluated.disposition),
                        shown(&evaluated.dkim),
                        shown(&evaluated.spf),
                        shown(&record.identifiers.header_from),
                    ]
                },
                row,
            )?;
        }
    }
    Ok(())
}

fn time(seconds: u64) -> String {
    UtcTime(seconds.saturating_mul(1_000)).to_rfc3339()
}

/// What it calls itself, and the domain that its mail is from.
fn reporter(summary: &ReceivedSummary) -> String {
    let domain = summary.report.author_domain.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} <{domain}>", summary.report.organization)
}

fn verdict(summary: &ReceivedSummary) -> String {
    summary.report.dmarc.map_or_else(|| "not verified".to_owned(), |result| result.to_string())
}

/// A stranger's text must not steer a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn object(summary: &ReceivedSummary) -> Value {
    let report = &summary.report;
    json!({
        "id": summary.id,
        "domain": report.domain.to_string(),
        "begin": time(report.begin),
        "end": time(report.end),
        "messages": report.messages,
        "organization": report.organization,
        "report_id": report.report_id,
        "author_domain": report.author_domain.as_ref().map(ToString::to_string),
        "dmarc": report.dmarc.map(|result| result.to_string()),
        "queue_id": report.queue_id.to_string(),
        "received": report.received.to_rfc3339(),
    })
}

fn row(record: &Record) -> Value {
    let evaluated = &record.row.policy_evaluated;
    json!({
        "source": record.row.source_ip,
        "count": record.row.count,
        "disposition": evaluated.disposition,
        "dkim": evaluated.dkim,
        "spf": evaluated.spf,
        "header_from": record.identifiers.header_from,
        "envelope_from": record.identifiers.envelope_from,
    })
}
