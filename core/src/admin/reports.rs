//! Reports of others about mail in the name of our domains; `service::dmarc_reports` says how they come in.

use futures::future::FutureExt;
use futures::stream::{self, StreamExt};

use super::{Admin, AdminError};
use crate::model::dmarc_report::{Feedback, read_report};
use crate::model::{Domain, Event};
use crate::platform::Listed;
use crate::state::StateError;
use crate::state::collect::read_head;
use crate::state::layout;
use crate::state::reports::ReceivedReport;

/// Reports that are read at a time.
const READ_AHEAD: usize = 16;

/// A report in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSummary {
    /// What it is called: hexadecimal digits.
    pub id: String,
    /// What is known of it.
    pub report: ReceivedReport,
}

impl Admin {
    /// All reports, or those about a domain, by the time that they tell of.
    pub async fn received_reports(
        &self,
        domain: Option<&Domain>,
    ) -> Result<Vec<ReceivedSummary>, AdminError> {
        let listed = self.listed_reports(domain).await?;
        let read = |(id, object): (String, Listed)| async move {
            let head = read_head::<ReceivedReport>(&self.requests, &object).await;
            (id, object.key, head)
        };
        let reads: Vec<_> = listed.into_iter().map(|one| read(one).boxed()).collect();
        let mut heads = stream::iter(reads).buffered(READ_AHEAD);
        let mut summaries = Vec::new();
        while let Some((id, key, head)) = heads.next().await {
            match head? {
                Some(Ok(report)) => summaries.push(ReceivedSummary { id, report }),
                Some(Err(error)) => {
                    let reason = error.to_string();
                    self.requests.journal().report(&Event::ObjectDamaged { key, reason });
                }
                None => {}
            }
        }
        summaries.sort_by(|a, b| {
            (a.report.begin, &a.report.domain, &a.id).cmp(&(b.report.begin, &b.report.domain, &b.id))
        });
        Ok(summaries)
    }

    /// One report, and what it says.
    pub async fn received_report(&self, id: &str) -> Result<(ReceivedSummary, Feedback), AdminError> {
        let missing = || AdminError::NotFound(format!("no report {id}"));
        let listed = self.listed_reports(None).await?;
        let (id, object) = listed.into_iter().find(|(listed, _)| listed == id).ok_or_else(missing)?;
        let key = object.key;
        let object = self.requests.find(&key).await?.ok_or_else(missing)?;
        let damaged = |reason: String| StateError::Damaged { key: key.clone(), reason };
        let (report, attachment) =
            ReceivedReport::decode(&object.bytes).map_err(|error| damaged(error.to_string()))?;
        let feedback = read_report(attachment).map_err(damaged)?;
        Ok((ReceivedSummary { id, report }, feedback))
    }

    async fn listed_reports(&self, domain: Option<&Domain>) -> Result<Vec<(String, Listed)>, AdminError> {
        let folder = domain.map_or_else(|| layout::RECEIVED_REPORTS.to_owned(), layout::received_reports);
        let listed = self.requests.list(&folder, None).await?;
        let named = |object: Listed| Some((layout::parse_received_report(&object.key)?.to_owned(), object));
        Ok(listed.into_iter().filter_map(named).collect())
    }
}
