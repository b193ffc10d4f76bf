//! `check_host()` (RFC 7208 §4, §5, §6).
//!
//! What a name server does not answer is a temporary error wherever the result hangs on it. That a name or its records are absent is an
//! answer: the mechanism does not match, and [`Limits::voids`] counts it. Counted is the name that the term itself asks for; the hosts that an
//! MX answer names are limited in number, and often have addresses of one kind only.

use std::net::IpAddr;

use super::macros::{DomainSpec, MacroString, Values};
use super::record::{Directive, Mechanism, Prefixes, Record, is_spf};
use super::{Client, Limits, Sender, Verdict};
use crate::authn::iprev;
use crate::model::DnsName;
use crate::model::verdict::SpfResult;
use crate::platform::{Dns, DnsError, Question, Record as DnsRecord, RecordKind};

/// Octets of an explanation. Beyond: as if there were none.
const EXPLANATION_LIMIT: usize = 800;

pub(super) async fn check(
    client: &Client<'_>,
    sender: &Sender<'_>,
    limits: Limits,
    dns: &dyn Dns,
) -> Verdict {
    let mut evaluation = Evaluation { client, sender, limits, dns, terms: 0, voids: 0, client_names: None };
    let mut verdict = match evaluation.decide().await {
        Ok(decision) => {
            let mut verdict = Verdict::new(decision.result, sender);
            if decision.result == SpfResult::Fail {
                verdict.explanation = evaluation.explain(&decision).await;
            }
            verdict.mechanism = decision.mechanism;
            verdict
        }
        Err(trouble) => {
            let (result, problem) = match trouble {
                Trouble::NoPolicy(why) => (SpfResult::None, why),
                Trouble::Temporary(why) => (SpfResult::TempError, why),
                Trouble::Permanent(why) => (SpfResult::PermError, why),
            };
            Verdict { problem: Some(problem), ..Verdict::new(result, sender) }
        }
    };
    verdict.lookups = evaluation.terms;
    verdict
}

/// What a policy says.
struct Decision {
    result: SpfResult,
    mechanism: Option<Box<str>>,
    /// Where an explanation is, and the domain whose record says so.
    explanation: Option<(DomainSpec, DnsName)>,
}

/// Why a policy says nothing. In words, for the owner of the domain and for ours.
enum Trouble {
    NoPolicy(String),
    Temporary(String),
    Permanent(String),
}

impl Trouble {
    /// What it is to a record that relies on this policy (RFC 7208 §5.2, §6.1).
    fn of_other_policy(self) -> Self {
        match self {
            Self::NoPolicy(why) => Self::Permanent(why),
            other => other,
        }
    }
}

struct Evaluation<'a> {
    client: &'a Client<'a>,
    sender: &'a Sender<'a>,
    limits: Limits,
    dns: &'a dyn Dns,
    terms: usize,
    voids: usize,
    /// The client's validated names, once somebody has asked.
    client_names: Option<Vec<DnsName>>,
}

impl Evaluation<'_> {
    async fn decide(&mut self) -> Result<Decision, Trouble> {
        let domain = DnsName::parse(self.sender.domain).ok();
        // An address literal is no domain, though it has dots.
        let domain = domain.filter(|domain| !domain.as_str().starts_with('['));
        let domain = domain.ok_or_else(|| Trouble::NoPolicy("not a domain".to_owned()))?;
        self.check_host(domain).await
    }

    /// Follows the policy of a domain and those that it redirects to, each of which counts as a term.
    async fn check_host(&mut self, mut domain: DnsName) -> Result<Decision, Trouble> {
        let mut record = self.record(&domain).await?;
        loop {
            for directive in &record.directives {
                if self.matches(directive, &domain).await? {
                    return Ok(Decision {
                        result: directive.result,
                        mechanism: Some(directive.text.clone()),
                        explanation: record.explanation.map(|spec| (spec, domain)),
                    });
                }
            }
            let Some(redirect) = &record.redirect else {
                return Ok(Decision { result: SpfResult::Neutral, mechanism: None, explanation: None });
            };
            self.count_term()?;
            let target = self.target(Some(redirect), &domain).await?;
            domain = target
                .ok_or_else(|| Trouble::Permanent(format!("{domain} redirects to what is no domain")))?;
            record = self.record(&domain).await.map_err(Trouble::of_other_policy)?;
        }
    }

    /// The policy of a domain (RFC 7208 §4.3, §4.4, §4.5).
    async fn record(&self, domain: &DnsName) -> Result<Record, Trouble> {
        if !domain.as_str().contains('.') {
            return Err(Trouble::NoPolicy(format!("{domain} is a single label")));
        }
        let texts = self.texts(domain).await?;
        let mut records = texts.iter().filter(|text| is_spf(text));
        match (records.next(), records.next()) {
            (None, _) => Err(Trouble::NoPolicy(format!("{domain} publishes no policy"))),
            (Some(text), None) => {
                Record::parse(text).map_err(|why| Trouble::Permanent(format!("{domain}: {why}")))
            }
            (Some(_), Some(_)) => Err(Trouble::Permanent(format!("{domain} publishes several policies"))),
        }
    }

    async fn matches(&mut self, directive: &Directive, domain: &DnsName) -> Result<bool, Trouble> {
        let client = self.client.address.to_canonical();
        match (&directive.mechanism, client) {
            (Mechanism::All, _) => return Ok(true),
            (Mechanism::Ip4(network), IpAddr::V4(v4)) => return Ok(network.contains(&v4)),
            (Mechanism::Ip6(network), IpAddr::V6(v6)) => return Ok(network.contains(&v6)),
            (Mechanism::Ip4(_) | Mechanism::Ip6(_), _) => return Ok(false),
            _ => self.count_term()?,
        }
        match &directive.mechanism {
            Mechanism::Include(spec) => {
                let target = self.target(Some(spec), domain).await?;
                let unusable = || Trouble::Permanent(format!("{domain} includes what is no domain"));
                let policy = Box::pin(self.check_host(target.ok_or_else(unusable)?)).await;
                Ok(policy.map_err(Trouble::of_other_policy)?.result == SpfResult::Pass)
            }
            Mechanism::A(spec, prefixes) => {
                let Some(target) = self.target(spec.as_ref(), domain).await? else { return Ok(false) };
                let records = self.lookup(&target, address_kind(client)).await?;
                let records = self.count_void(&target, records)?;
                Ok(covers(&records, client, *prefixes))
            }
            Mechanism::Mx(spec, prefixes) => {
                let Some(target) = self.target(spec.as_ref(), domain).await? else { return Ok(false) };
                self.is_exchange(&target, client, *prefixes).await
            }
            Mechanism::Ptr(spec) => {
                self.find_client_names().await?;
                let Some(target) = self.target(spec.as_ref(), domain).await? else { return Ok(false) };
                Ok(self.client_names.iter().flatten().any(|name| name.is_within(&target)))
            }
            Mechanism::Exists(spec) => {
                let Some(target) = self.target(Some(spec), domain).await? else { return Ok(false) };
                // Always A, also for a client with an IPv6 address (RFC 7208 §5.7).
                let records = self.lookup(&target, RecordKind::A).await?;
                Ok(!self.count_void(&target, records)?.is_empty())
            }
            Mechanism::All | Mechanism::Ip4(_) | Mechanism::Ip6(_) => Ok(false),
        }
    }

    /// Whether the client is one of a domain's exchanges (RFC 7208 §5.4). They are asked for in one order, whatever that of the answer.
    async fn is_exchange(
        &mut self,
        target: &DnsName,
        client: IpAddr,
        prefixes: Prefixes,
    ) -> Result<bool, Trouble> {
        let records = self.lookup(target, RecordKind::Mx).await?;
        let records = self.count_void(target, records)?;
        let mut exchanges: Vec<_> = records
            .into_iter()
            .filter_map(|record| match record {
                DnsRecord::Mx { preference, exchange } => Some((preference, exchange?)),
                _ => None,
            })
            .collect();
        exchanges.sort();
        for (at, (_, exchange)) in exchanges.iter().enumerate() {
            if at == self.limits.names {
                return Err(Trouble::Permanent(format!("{target} has more than {at} exchanges")));
            }
            if covers(&self.lookup(exchange, address_kind(client)).await?, client, prefixes) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks up the client's names, once in a check: those that lead back to its address (RFC 7208 §5.5). A failure leaves none.
    async fn find_client_names(&mut self) -> Result<(), Trouble> {
        if self.client_names.is_some() {
            return Ok(());
        }
        self.client_names = Some(Vec::new());
        let client = self.client.address.to_canonical();
        let name = iprev::reverse_name(client);
        if let Ok(records) = self.lookup(&name, RecordKind::Ptr).await {
            for record in self.count_void(&name, records)?.into_iter().take(self.limits.names) {
                let DnsRecord::Ptr(name) = record else { continue };
                let addresses = self.lookup(&name, address_kind(client)).await;
                if addresses.is_ok_and(|addresses| addresses.contains(&DnsRecord::Address(client))) {
                    self.client_names.get_or_insert_default().push(name);
                }
            }
        }
        Ok(())
    }

    /// The name that a term is about: the domain itself where it does not say. None where it can be no name.
    async fn target(
        &mut self,
        spec: Option<&DomainSpec>,
        domain: &DnsName,
    ) -> Result<Option<DnsName>, Trouble> {
        let Some(spec) = spec else { return Ok(Some(domain.clone())) };
        if spec.asks_for_client_name() && self.client_names.is_none() {
            // RFC 7208 §4.6.4: the query for PTR records counts.
            self.count_term()?;
            self.find_client_names().await?;
        }
        Ok(spec.expand(&self.values(domain)))
    }

    fn values<'a>(&'a self, domain: &'a DnsName) -> Values<'a> {
        // RFC 7208 §7.3: the domain itself before names below it, and these before all others.
        let rank = |name: &&DnsName| (*name != domain, !name.is_within(domain));
        let validated = self.client_names.iter().flatten().min_by_key(rank);
        Values { client: self.client, sender: self.sender, domain, validated }
    }

    /// The explanation that a failing policy names. Any trouble with it is as if there were none (RFC 7208 §6.2).
    async fn explain(&mut self, decision: &Decision) -> Option<String> {
        let (spec, domain) = decision.explanation.as_ref()?;
        if spec.asks_for_client_name() {
            // No term that counts: a name that cannot be found is an unknown one.
            drop(self.find_client_names().await);
        }
        let target = spec.expand(&self.values(domain))?;
        let texts = self.texts(&target).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let text = str::from_utf8(text).ok().filter(|text| is_printable(text))?;
        let text = MacroString::parse(text).ok()?;
        if text.asks_for_client_name() {
            drop(self.find_client_names().await);
        }
        text.expand(&self.values(domain), EXPLANATION_LIMIT).filter(|text| is_printable(text))
    }

    async fn texts(&self, name: &DnsName) -> Result<Vec<Vec<u8>>, Trouble> {
        let records = self.lookup(name, RecordKind::Txt).await?;
        let text = |record| match record {
            DnsRecord::Txt(text) => Some(text),
            _ => None,
        };
        Ok(records.into_iter().filter_map(text).collect())
    }

    /// The records of a name; none of them where there is no such name, or only records of another kind.
    async fn lookup(&self, name: &DnsName, kind: RecordKind) -> Result<Vec<DnsRecord>, Trouble> {
        match self.dns.lookup(&Question { name: name.clone(), kind }).await {
            Ok(answer) => Ok(answer.records.into_iter().filter(|record| is_of_kind(record, kind)).collect()),
            Err(DnsError::NxDomain | DnsError::NoData) => Ok(Vec::new()),
            Err(DnsError::ServFail(why)) => Err(Trouble::Temporary(format!("{name}: {why}"))),
        }
    }

    fn count_term(&mut self) -> Result<(), Trouble> {
        if self.terms == self.limits.terms {
            return Err(Trouble::Permanent(format!("more than {} terms that need queries", self.terms)));
        }
        self.terms += 1;
        Ok(())
    }

    fn count_void(&mut self, name: &DnsName, records: Vec<DnsRecord>) -> Result<Vec<DnsRecord>, Trouble> {
        if records.is_empty() {
            if self.voids == self.limits.voids {
                let most = self.limits.voids;
                return Err(Trouble::Permanent(format!(
                    "{name} is one more than {most} names that are in vain"
                )));
            }
            self.voids += 1;
        }
        Ok(records)
    }
}

fn is_of_kind(record: &DnsRecord, kind: RecordKind) -> bool {
    matches!(
        (record, kind),
        (DnsRecord::Address(IpAddr::V4(_)), RecordKind::A)
            | (DnsRecord::Address(IpAddr::V6(_)), RecordKind::Aaaa)
            | (DnsRecord::Mx { .. }, RecordKind::Mx)
            | (DnsRecord::Ptr(_), RecordKind::Ptr)
            | (DnsRecord::Txt(_), RecordKind::Txt)
    )
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// What a client of this kind is looked for among.
fn address_kind(client: IpAddr) -> RecordKind {
    if client.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
}

/// Whether one of the addresses is the client's, as far as the prefix goes.
fn covers(records: &[DnsRecord], client: IpAddr, prefixes: Prefixes) -> bool {
    records.iter().any(|record| match (record, client) {
        (DnsRecord::Address(IpAddr::V4(host)), IpAddr::V4(client)) => {
            let beyond = u32::MAX.checked_shr(prefixes.v4.into()).unwrap_or(0);
            (host.to_bits() ^ client.to_bits()) & !beyond == 0
        }
        (DnsRecord::Address(IpAddr::V6(host)), IpAddr::V6(client)) => {
            let beyond = u128::MAX.checked_shr(prefixes.v6.into()).unwrap_or(0);
            (host.to_bits() ^ client.to_bits()) & !beyond == 0
        }
        _ => false,
    })
}
