//! What verification would make of a message, which nobody is sending: for operators who want to know why, and for tests that run
//! one from production again.

use std::net::IpAddr;

use super::following::Following;
use super::verification::{Origin, Place, methods};
use crate::authn::dkim::BodyHasher;
use crate::config::VerificationSettings;
use crate::model::message::{HeaderScan, HeaderSplit};
use crate::model::{Domain, Reply, ReversePath};
use crate::platform::Platform;
use crate::smtp::syntax::MailParameters;
use crate::smtp::{Hello, Mail};

/// How a message came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The address of the client that brought it.
    pub client: IpAddr,
    /// What the client called itself in HELO or EHLO.
    pub greeting: String,
    /// The reverse-path that it named in MAIL.
    pub reverse_path: ReversePath,
}

/// The fields that would be put in front of this message, whole lines; or the reply with which it would be refused or put off.
/// `hostname` is the host that takes it in. Of the platform, names, time and nothing else are used. Nothing is kept.
pub async fn verify(
    platform: &Platform,
    settings: &VerificationSettings,
    hostname: &Domain,
    arrival: Arrival,
    content: &[u8],
) -> Result<String, Reply> {
    let mail = Mail {
        reverse_path: arrival.reverse_path,
        parameters: Box::new(MailParameters::default()),
        greeting: arrival.greeting,
        hello: Hello::Ehlo,
    };
    let origin = Origin::check(platform, settings, arrival.client, &mail, hostname).await?;
    let mut scan = HeaderScan::default();
    let end = match scan.advance(content) {
        HeaderSplit::At(end) => end,
        HeaderSplit::Unfinished => scan.finish(content),
    };
    let (header, body) = content.split_at(end);
    let mut hasher = BodyHasher::new(methods(header));
    hasher.push(body);
    let authserv_id = settings.authserv_id.as_ref().unwrap_or(hostname);
    let following = Following::One(hostname, settings.dmarc);
    let place = Place { platform, settings, following, authserv_id, observer: None };
    let finding = origin.conclude(&place, header, &hasher.finish()).await?;
    Ok(finding.fields)
}
