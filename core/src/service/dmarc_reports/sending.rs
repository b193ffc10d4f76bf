//! Hands the reports of a run to the queue.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::merging::{Merged, hash};
use super::{Work, trouble};
use crate::authn::dmarc::{Destination, ReportKind, report_destinations};
use crate::model::dmarc_report::{Feedback, Mail, Reporter};
use crate::model::reply::Severity;
use crate::model::{Event, ReversePath};
use crate::platform::StoreError;
use crate::service::reception::submit;
use crate::state::layout::{self, ReportKey};

impl Work<'_> {
    /// Sends a report to all who want it, but for those that it was sent to before. Whether nothing of it is left to another run.
    pub(super) async fn send(&self, report: &Merged, sent: &BTreeSet<String>) -> Result<bool, StoreError> {
        let domain = &report.policy.domain;
        // As it stands now: whoever asks no more is sent no more.
        let destinations =
            match report_destinations(domain, ReportKind::Aggregate, &*self.requests.platform().dns).await {
                Ok(destinations) => destinations,
                Err(error) => {
                    trouble(self.context, &format!("looking for who wants reports about {domain}"), &error);
                    return Ok(false);
                }
            };
        let mut is_complete = true;
        for to in destinations {
            let name = hash(&format!("{} {}", report.id, to.address));
            let key = ReportKey::Sent(name);
            if !sent.contains(&layout::report_object(self.day, key.clone())) {
                if self.submit(report, &to).await {
                    self.mark(key).await?;
                } else {
                    is_complete = false;
                }
            }
        }
        Ok(is_complete)
    }

    /// Whether it is in the queue, or never will be.
    async fn submit(&self, report: &Merged, destination: &Destination) -> bool {
        let to = &destination.address;
        let config = &self.context.config;
        let settings = &config.dmarc_reports;
        let (from, policy) = (settings.author(&config.hostname), &report.policy);
        let author = from.to_string();
        let organization = settings.organization.as_deref().unwrap_or_else(|| from.domain().as_str());
        let reporter = Reporter { organization, email: &author, contact: settings.contact.as_deref() };
        let feedback = Feedback::new(&reporter, &report.id, self.period(), policy, &report.rows);
        let mail = Mail {
            id: &report.id,
            now: self.requests.platform().clock.utc(),
            domain: &policy.domain,
            period: self.period(),
            from: &from,
            to,
            xml: &feedback.to_xml(),
        };
        let content = Bytes::from(mail.compose());
        if !destination.takes(content.len()) {
            let reason = format!("it has {} octets, and the record sets a limit", content.len());
            let (domain, to) = (policy.domain.to_string(), Some(to.clone()));
            self.context.journal.report(&Event::DmarcReportDropped { domain, to, reason });
            return true;
        }
        // With a null reverse-path nothing is ever sent in answer to it.
        match submit(self.context, ReversePath::Null, std::slice::from_ref(to), &content).await {
            Ok(queue_id) => {
                let (domain, to) = (policy.domain.to_string(), to.clone());
                let (rows, messages) = (report.rows.len(), feedback.messages());
                let (report, day) = (report.id.clone(), self.day);
                let event = Event::DmarcReported { queue_id, domain, day, to, report, rows, messages };
                self.context.journal.report(&event);
                true
            }
            Err(reply) => {
                trouble(self.context, &format!("sending a report about {} to {to}", policy.domain), &reply);
                reply.severity() == Severity::Permanent
            }
        }
    }
}
