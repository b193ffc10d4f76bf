//! The document (RFC 9990 §3.1.1, Appendix A). What it holds is text, and numbers: reports of others are read by the same types, in the form
//! of RFC 7489 as well, and nothing in them is believed.

use serde::{Deserialize, Serialize};

use super::row::{Override, PublishedPolicy, Row, Rows};
use crate::model::dmarc_policy::Policy;

const NAMESPACE: &str = "urn:ietf:params:xml:ns:dmarc-2.0";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const GENERATOR: &str = concat!("Fulmar ", env!("CARGO_PKG_VERSION"));
const ROOT: &str = "feedback";

/// A day, in seconds since 1970, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first second.
    pub begin: u64,
    /// Its last one.
    pub end: u64,
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Reporter<'a> {
    /// The name of the organization.
    pub organization: &'a str,
    /// Whom to write to.
    pub email: &'a str,
    /// Where else to ask.
    pub contact: Option<&'a str>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "feedback")]
pub struct Feedback {
    #[serde(rename = "@xmlns", default)]
    namespace: String,
    #[serde(default)]
    version: String,
    /// Who reports, about which time.
    pub report_metadata: Metadata,
    /// What the owner of the domain has published.
    pub policy_published: Published,
    /// What mail came to.
    #[serde(default)]
    pub record: Vec<Record>,
}

/// RFC 9990 §3.1.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Metadata {
    #[serde(default)]
    pub org_name: String,
    #[serde(default)]
    pub email: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub extra_contact_info: Option<String>,
    #[serde(default)]
    pub report_id: String,
    pub date_range: DateRange,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generator: Option<String>,
}

/// RFC 9990 §3.1.1.4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DateRange {
    pub begin: u64,
    pub end: u64,
}

/// RFC 9990 §3.1.1.5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Published {
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discovery_method: Option<String>,
    #[serde(default)]
    pub p: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub np: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub adkim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub aspf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub testing: Option<String>,
}

/// RFC 9990 §3.1.1.7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Record {
    pub row: Source,
    pub identifiers: Identifiers,
    #[serde(default)]
    pub auth_results: AuthResults,
}

/// RFC 9990 §3.1.1.8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Source {
    pub source_ip: String,
    pub count: u64,
    pub policy_evaluated: Evaluated,
}

/// RFC 9990 §3.1.1.9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Evaluated {
    #[serde(default)]
    pub disposition: String,
    #[serde(default)]
    pub dkim: String,
    #[serde(default)]
    pub spf: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reason: Vec<Reason>,
}

/// RFC 9990 §3.1.1.14.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Reason {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
}

/// RFC 9990 §3.1.1.10.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Identifiers {
    #[serde(default)]
    pub header_from: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub envelope_from: Option<String>,
}

/// RFC 9990 §3.1.1.11.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct AuthResults {
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dkim: Vec<Signature>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub spf: Vec<Spf>,
}

/// RFC 9990 §3.1.1.12.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Signature {
    #[serde(default)]
    pub domain: String,
    #[serde(default)]
    pub selector: String,
    #[serde(default)]
    pub result: String,
}

/// RFC 9990 §3.1.1.13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Spf {
    #[serde(default)]
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scope: Option<String>,
    #[serde(default)]
    pub result: String,
}

impl Feedback {
    /// The report of rows that have one policy.
    pub fn new(
        reporter: &Reporter<'_>,
        id: &str,
        period: Period,
        policy: &PublishedPolicy,
        rows: &Rows,
    ) -> Self {
        Self {
            namespace: NAMESPACE.to_owned(),
            version: "1.0".to_owned(),
            report_metadata: Metadata {
                org_name: reporter.organization.to_owned(),
                email: reporter.email.to_owned(),
                extra_contact_info: reporter.contact.map(str::to_owned),
                report_id: id.to_owned(),
                date_range: DateRange { begin: period.begin, end: period.end },
                generator: Some(GENERATOR.to_owned()),
            },
            policy_published: published(policy),
            record: rows.iter().map(|(row, count)| record(row, *count)).collect(),
        }
    }

    /// The document, in UTF-8.
    pub fn to_xml(&self) -> String {
        // There is nothing in it but strings, numbers and lists of them, all of which XML can say.
        let body = quick_xml::se::to_string_with_root(ROOT, self);
        debug_assert!(body.is_ok(), "{body:?}");
        DECLARATION.to_owned() + &body.unwrap_or_default()
    }

    /// Reads a report, of either RFC. Entities that a document declares of its own are not looked up.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_xml(text: &str) -> Result<Self, String> {
        quick_xml::de::from_str(text).map_err(|error| error.to_string())
    }

    /// Messages that it tells of.
    pub fn messages(&self) -> u64 {
        self.record.iter().fold(0, |sum, record| sum.saturating_add(record.row.count))
    }
}

/// Tags that are absent stand with what they come to.
fn published(policy: &PublishedPolicy) -> Published {
    let PublishedPolicy { domain, p, sp, np, adkim, aspf, is_testing } = policy;
    let sp = sp.unwrap_or(*p);
    let word = |policy: Policy| Some(policy.as_str().to_owned());
    Published {
        domain: domain.to_string(),
        discovery_method: Some("treewalk".to_owned()),
        p: p.as_str().to_owned(),
        sp: word(sp),
        np: word(np.unwrap_or(sp)),
        adkim: Some(adkim.as_str().to_owned()),
        aspf: Some(aspf.as_str().to_owned()),
        testing: Some(if *is_testing { "y" } else { "n" }.to_owned()),
    }
}

fn record(row: &Row, count: u64) -> Record {
    let aligned = |is_aligned: bool| if is_aligned { "pass" } else { "fail" }.to_owned();
    let signature = |signer: &super::Signer| Signature {
        domain: signer.domain.to_string(),
        selector: signer.selector.clone(),
        result: signer.result.to_string(),
    };
    let spf = row.spf.as_ref().map(|(domain, result)| Spf {
        domain: domain.to_string(),
        scope: Some("mfrom".to_owned()),
        result: result.to_string(),
    });
    Record {
        row: Source {
            source_ip: row.source.to_canonical().to_string(),
            count,
            policy_evaluated: Evaluated {
                disposition: row.disposition.as_str().to_owned(),
                dkim: aligned(row.is_dkim_aligned),
                spf: aligned(row.is_spf_aligned),
                reason: row.overridden.iter().map(reason).collect(),
            },
        },
        identifiers: Identifiers {
            header_from: row.header_from.to_string(),
            envelope_from: Some(row.envelope_from.as_ref().map(ToString::to_string).unwrap_or_default()),
        },
        auth_results: AuthResults {
            dkim: row.dkim.iter().map(signature).collect(),
            spf: spf.into_iter().collect(),
        },
    }
}

fn reason(overridden: &Override) -> Reason {
    let (kind, comment) = match overridden {
        Override::LocalPolicy => ("local_policy", None),
        Override::PolicyTestMode => ("policy_test_mode", None),
        Override::TrustedForwarder(sealer) => {
            ("trusted_forwarder", Some(format!("arc=pass sealed by {sealer}")))
        }
        Override::Undecided => ("other", Some("names could not be looked up".to_owned())),
    };
    Reason { kind: kind.to_owned(), comment }
}
