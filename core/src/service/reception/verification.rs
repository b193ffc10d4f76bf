//! Verifies mail of strangers: where it comes from before its content is asked for, who signed it once it is whole (RFC 8601).
//!
//! Nothing is written for it but fields of the header. A message that waits for name servers holds no more than it does anyway: its body was
//! hashed as it streamed by.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join3};

use super::content::Content;
use super::following::{Following, refusal};
use super::recipients::Recipients;
use crate::authn::arc::{self, ArcFlaw, ArcReport};
use crate::authn::dkim::{self, BodyHashes, BodyMethod, DkimReport};
use crate::authn::dmarc::{self, Evidence};
use crate::authn::iprev;
use crate::authn::results::{arc_method, dkim_methods, has_result, to_body, to_field, without_forged};
use crate::authn::spf::{self, Limits, Sender};
use crate::config::{Consequence, Obedience, VerificationSettings};
use crate::model::dmarc_policy::Policy;
use crate::model::reply::Severity;
use crate::model::verdict::{ArcResult, DkimResult, DmarcResult, IprevResult, Judgement, SpfResult};
use crate::model::{Domain, Event, QueueId, Reply, ReversePath, UtcTime};
use crate::platform::{Dns, Platform};
use crate::service::Context;
use crate::service::dmarc_reports::{Seen, observe};
use crate::service::failure_reports;
use crate::smtp::Mail;

/// How long all look-ups for one stage may take. Beyond: what is not known by then is a temporary error.
const PATIENCE: Duration = spf::TIME_LIMIT;

/// What the client's address and names come to.
#[derive(Debug)]
pub(super) struct Origin {
    client: IpAddr,
    reverse_path: ReversePath,
    iprev: iprev::Verdict,
    /// Of the name in HELO or EHLO. That of a null reverse-path is checked as such.
    helo: Option<spf::Verdict>,
    mail_from: spf::Verdict,
    /// The `Received-SPF` field.
    received_spf: String,
}

/// Where a message comes in.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Names and time are asked of it.
    pub(super) platform: &'a Platform,
    pub(super) settings: &'a VerificationSettings,
    /// Whom it is for.
    pub(super) following: Following<'a>,
    pub(super) authserv_id: &'a Domain,
    /// Who tells the owners of domains of it, if anybody.
    pub(super) observer: Option<Observer<'a>>,
}

/// Tells the owners of domains what came in their names.
#[derive(Clone, Copy)]
pub(super) struct Observer<'a> {
    pub(super) context: &'a Arc<Context>,
    /// Whom the message is for.
    pub(super) recipients: &'a Recipients,
}

/// What a message is accepted with.
#[derive(Debug)]
pub(super) struct Finding {
    /// The fields to be put in front of it.
    pub(super) fields: String,
    /// Its header block, without what others wrote there in our name.
    pub(super) header: Vec<u8>,
    /// What all methods came to: the body of the Authentication-Results field among the fields.
    pub(super) results: String,
    /// What is kept of it with the message.
    pub(super) judgement: Judgement,
    facts: Facts,
}

#[derive(Debug)]
struct Facts {
    origin: (IprevResult, SpfResult),
    dkim: Vec<Domain>,
    /// Unless it was not found out in time.
    arc: Option<ArcReport>,
    dmarc: dmarc::Verdict,
    override_by: Option<Domain>,
}

/// How the body is to be hashed, whatever will be asked of it.
pub(super) fn body_methods(_: &Context, header: &[u8]) -> Vec<BodyMethod> {
    methods(header)
}

/// Those that signatures and seals ask for.
pub(super) fn methods(header: &[u8]) -> Vec<BodyMethod> {
    dkim::body_methods(header).into_iter().chain(arc::body_method(header)).collect()
}

impl Origin {
    /// Looks up what can be known before there is content. An error where that is enough to refuse it, or to put it off.
    pub(super) async fn check(
        platform: &Platform,
        settings: &VerificationSettings,
        client: IpAddr,
        mail: &Mail,
        receiver: &Domain,
    ) -> Result<Self, Reply> {
        let dns = &*platform.dns;
        let helo = mail.greeting.as_str();
        let who = spf::Client { address: client, helo, receiver, now: platform.clock.utc() };
        let (of_helo, of_mail_from) = (Sender::of_helo(helo), Sender::of_mail_from(&mail.reverse_path, helo));
        let until = platform.clock.instant() + PATIENCE;
        let spf = async |sender: &Sender<'_>| {
            let checking = spf::check_host(&who, sender, Limits::default(), dns);
            platform.clock.before(until, checking).await.unwrap_or_else(|| spf::Verdict::overdue(sender))
        };
        // That of a null reverse-path has the same domain.
        let is_apart = !matches!(mail.reverse_path, ReversePath::Null)
            && Domain::parse(helo).is_ok_and(|name| !name.is_literal());
        let (iprev, helo, mail_from) = join3(
            async {
                let checking = iprev::check(client, dns);
                platform.clock.before(until, checking).await.unwrap_or_else(iprev::Verdict::overdue)
            },
            async { if is_apart { Some(spf(&of_helo).await) } else { None } },
            spf(&of_mail_from),
        )
        .await;
        let received_spf = mail_from.to_received_spf(&who);
        let reverse_path = mail.reverse_path.clone();
        let origin = Self { client, reverse_path, iprev, helo, mail_from, received_spf };
        origin.judge(settings)?;
        Ok(origin)
    }

    fn judge(&self, settings: &VerificationSettings) -> Result<(), Reply> {
        let Self { client, mail_from, .. } = self;
        let defers = settings.defers_temporary;
        if settings.spf_fail == Consequence::Refuse {
            match mail_from.result {
                SpfResult::Fail => {
                    let why = mail_from.explanation.as_deref().map(|text| format!(": {text}"));
                    let text = format!(
                        "SPF: {} does not let {client} send for it{}",
                        mail_from.domain,
                        why.unwrap_or_default()
                    );
                    return Err(refusal(550, 23, text));
                }
                // RFC 7372 §3.2
                SpfResult::TempError if defers => {
                    let text = format!(
                        "SPF: the policy of {} cannot be looked up, try again later",
                        mail_from.domain
                    );
                    return Err(refusal(451, 24, text));
                }
                _ => {}
            }
        }
        if settings.unnamed_client == Consequence::Refuse {
            match self.iprev.result {
                IprevResult::Pass => {}
                IprevResult::TempError if defers => {
                    let text = format!("the name of {client} cannot be looked up, try again later");
                    return Err(refusal(451, 25, text));
                }
                IprevResult::TempError => {}
                IprevResult::Fail | IprevResult::PermError => {
                    let text = format!("{client} needs a name in DNS that leads back to it");
                    return Err(refusal(550, 25, text));
                }
            }
        }
        Ok(())
    }

    /// Looks up the rest, now that the message is whole. An error where it is not to be taken.
    pub(super) async fn conclude(
        self,
        place: &Place<'_>,
        header: &[u8],
        bodies: &BodyHashes,
    ) -> Result<Finding, Reply> {
        let Place { platform, settings, following, authserv_id, .. } = *place;
        let found = async {
            let (now, dns) = (platform.clock.utc(), &*platform.dns);
            let (dkim, arc) = signatures(header, bodies, now, dns).await;
            let spf_domain = Domain::parse(&self.mail_from.domain).ok();
            let evidence = Evidence {
                spf: spf_domain.as_ref().map(|domain| (self.mail_from.result, domain)),
                dkim: &dkim
                    .signatures
                    .iter()
                    .filter_map(|one| Some((one.result, one.claim.as_ref()?.domain.clone())))
                    .collect::<Vec<_>>(),
            };
            let dmarc = dmarc::check(header, &evidence, dns).await;
            (dkim, arc, dmarc)
        };
        let until = platform.clock.instant() + PATIENCE;
        let Some((dkim, arc, dmarc)) = platform.clock.before(until, found).await else {
            return self.overdue(place, header).await;
        };
        let override_by = believed(settings, &arc, &dmarc);
        let judged = following.judge(settings, &dmarc, override_by.as_ref()).await;
        let mut methods = self.methods();
        methods.extend(dkim_methods(&dkim));
        methods.push(arc_method(&arc));
        methods.push(dmarc.to_method());
        // What is only put off comes again.
        if let Some(Observer { context, recipients }) = place.observer
            && judged.as_ref().err().is_none_or(|reply| reply.severity() == Severity::Permanent)
        {
            let Self { client, reverse_path, mail_from: spf, .. } = &self;
            let done = match &judged {
                Err(_) => Policy::Reject,
                Ok(judgement) if judgement.is_quarantined => Policy::Quarantine,
                Ok(_) => Policy::None,
            };
            let (dkim, dmarc, override_by) = (&dkim, &dmarc, override_by.as_ref());
            let client = *client;
            let seen = Seen { client, reverse_path, header, spf, dkim, dmarc, done, override_by };
            observe(context, &seen);
            failure_reports::report(context, recipients, &seen, || to_field(authserv_id, &methods));
        }
        let judgement = judged?;
        let facts = Facts {
            origin: (self.iprev.result, self.mail_from.result),
            dkim: dkim.domains().cloned().collect(),
            arc: Some(arc),
            dmarc,
            override_by,
        };
        Ok(self.finding(&methods, (facts, judgement), header, authserv_id))
    }

    /// What is known where name servers said nothing of the signatures in time.
    async fn overdue(self, place: &Place<'_>, header: &[u8]) -> Result<Finding, Reply> {
        let dmarc = dmarc::Verdict::overdue(header);
        let judgement = place.following.judge(place.settings, &dmarc, None).await?;
        let mut methods = self.methods();
        methods.push(format!("dkim={}", DkimResult::TempError));
        methods.push(dmarc.to_method());
        let origin = (self.iprev.result, self.mail_from.result);
        let facts = Facts { origin, dkim: Vec::new(), arc: None, dmarc, override_by: None };
        Ok(self.finding(&methods, (facts, judgement), header, place.authserv_id))
    }

    fn methods(&self) -> Vec<String> {
        let spf = self.helo.iter().chain([&self.mail_from]).map(spf::Verdict::to_method);
        std::iter::once(self.iprev.to_method(self.client)).chain(spf).collect()
    }

    fn finding(
        self,
        methods: &[String],
        (facts, judgement): (Facts, Judgement),
        header: &[u8],
        authserv_id: &Domain,
    ) -> Finding {
        let fields = to_field(authserv_id, methods) + &self.received_spf;
        let results = to_body(authserv_id, methods);
        Finding { fields, header: without_forged(header, authserv_id), results, judgement, facts }
    }
}

impl Finding {
    /// What the chain of seals came to, where that will not change.
    pub(super) fn chain(&self) -> Option<&ArcReport> {
        let is_final = |report: &&ArcReport| !report.flaw.as_ref().is_some_and(ArcFlaw::is_temporary);
        self.facts.arc.as_ref().filter(is_final)
    }

    /// What is told of it.
    pub(super) fn event(&self, queue_id: QueueId) -> Event {
        let Facts { origin: (iprev, spf), dkim, arc, dmarc, override_by } = &self.facts;
        Event::Verified {
            queue_id,
            iprev: *iprev,
            spf: *spf,
            dkim: dkim.iter().map(ToString::to_string).collect(),
            arc: arc.as_ref().map_or(ArcResult::None, |report| report.result),
            dmarc: dmarc.result,
            author_domain: dmarc.author_domain.as_ref().map(ToString::to_string),
            policy: dmarc.published.as_ref().map(|published| published.policy.as_str()),
            override_by: override_by.as_ref().map(ToString::to_string),
            quarantined: self.judgement.is_quarantined,
            reason: self.judgement.reason.as_str(),
        }
    }
}

async fn signatures(
    header: &[u8],
    bodies: &BodyHashes,
    now: UtcTime,
    dns: &dyn Dns,
) -> (DkimReport, ArcReport) {
    join(dkim::verify(header, bodies, dns, now), arc::verify(header, bodies, dns, now)).await
}

/// The sealer who found good what fails now, and is believed (RFC 8617 §7.2.1, RFC 9989 §5.4).
fn believed(settings: &VerificationSettings, arc: &ArcReport, dmarc: &dmarc::Verdict) -> Option<Domain> {
    let newest = arc.sets.last().filter(|_| dmarc.result == DmarcResult::Fail)?;
    let is_trusted = settings.trusted_sealers.contains(&newest.domain);
    (is_trusted && has_result(&newest.results, "dmarc", "pass")).then(|| newest.domain.clone())
}

/// Refuses content whose header block ends in a line that is no field. Some readers go on behind it, and with what we put in front even a
/// first line that begins with a blank does no harm to those that follow: they would be shown an author whom nobody has verified.
pub(super) fn check_block(settings: &VerificationSettings, content: &Content) -> Result<(), Reply> {
    let last = content.header.split_inclusive(|b| *b == b'\n').next_back();
    let is_whole = matches!(last, Some(b"\r\n" | b"\n")) || content.is_body_empty();
    if is_whole || settings.dmarc != Obedience::Obey {
        return Ok(());
    }
    Err(Reply::new(
        550,
        (5, 6, 0),
        "a line that is no field stands in the header block (RFC 5322 section 2.2)",
    ))
}
