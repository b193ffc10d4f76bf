//! The openspf suite of test cases for RFC 7208, which pyspf carries in its source archive.
//!
//! The file holds documents of YAML, each with a zone and with checks against it: a client, its HELO name and a reverse-path, and the results
//! that are right. Where the RFC leaves several, any of them is. Records of the type SPF, which no longer exists, stand for TXT records unless
//! the name has some of these.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use fulmar_core::authn::spf::{self, Client, Identity, Limits, Sender};
use fulmar_core::model::{DnsName, Domain, UtcTime};
use fulmar_core::platform::{DnsError, Record, RecordKind};
use serde_json::Value;

use crate::Fallible;
use crate::daemon::run;
use crate::zone::Zone;

/// Where the suite lies below the folder for sources from PyPI.
const FILE: &str = "pypi-sources/pyspf-2.0.14/test/rfc7208-tests.yml";
/// Prints the documents of a file of YAML as one list in JSON.
const TO_JSON: &str =
    "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1], 'rb'))), sys.stdout)";
/// Cases that are there. With fewer the file has not been understood.
const CASES: usize = 203;
/// The explanation that a case expects where the domain gives none.
const NO_EXPLANATION: &str = "DEFAULT";
const KINDS: [RecordKind; 5] =
    [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Txt, RecordKind::Ptr];

/// Every case of the suite has a result that the suite calls right, and the explanation that it expects.
pub fn every_case_is_right(target: &Path) -> Fallible<String> {
    let mut python = Command::new("python3");
    let json = run(python.args(["-c", TO_JSON]).arg(target.join(FILE)))?;
    let scenarios: Vec<Value> = serde_json::from_slice(&json)?;
    let (mut cases, mut wrong) = (0, Vec::new());
    for scenario in &scenarios {
        let zone = zone(&scenario["zonedata"])?;
        for (name, case) in entries(&scenario["tests"])? {
            cases += 1;
            if let Err(difference) = check(case, &zone) {
                wrong.push(format!("{name}: {difference}"));
            }
        }
    }
    let report = format!("{cases} cases, {} right", cases - wrong.len());
    if wrong.is_empty() && cases == CASES {
        return Ok(report);
    }
    Err(format!("{report} of {CASES}\n{}", wrong.join("\n")).into())
}

fn check(case: &Value, zone: &Zone) -> Fallible<()> {
    let receiver = Domain::parse("receiver.test")?;
    let helo = string(&case["helo"])?;
    let client =
        Client { address: string(&case["host"])?.parse()?, helo, receiver: &receiver, now: UtcTime(0) };
    let (local_part, domain) = string(&case["mailfrom"])?.rsplit_once('@').unwrap_or(("", helo));
    let sender = Sender { identity: Identity::MailFrom, local_part, domain };
    let verdict = smol::block_on(spf::check_host(&client, &sender, Limits::default(), zone));
    let right: Vec<&str> = match &case["result"] {
        Value::Array(several) => several.iter().map(string).collect::<Fallible<_>>()?,
        one => vec![string(one)?],
    };
    if !right.contains(&verdict.result.as_str()) {
        return Err(format!("{right:?} is right, but {verdict:?}").into());
    }
    let explanation = verdict.explanation.as_deref().unwrap_or(NO_EXPLANATION);
    match case["explanation"].as_str() {
        Some(expected) if expected != explanation => {
            Err(format!("{expected:?} is right, but {verdict:?}").into())
        }
        _ => Ok(()),
    }
}

fn zone(data: &Value) -> Fallible<Zone> {
    let zone = Zone::default();
    for (name, entries) in entries(data)? {
        let mut records: BTreeMap<RecordKind, Vec<Record>> = BTreeMap::new();
        let (mut policies, mut has_texts, mut times_out) = (Vec::new(), false, false);
        for entry in entries.as_array().ok_or("records that are no list")? {
            if entry.as_str() == Some("TIMEOUT") {
                times_out = true;
                continue;
            }
            for (kind, value) in self::entries(entry)? {
                match kind {
                    "TXT" => {
                        has_texts = true;
                        if value.as_str() != Some("NONE") {
                            records.entry(RecordKind::Txt).or_default().push(text(value)?);
                        }
                    }
                    "SPF" => policies.push(text(value)?),
                    "CNAME" => zone.alias(name, string(value)?),
                    _ => {
                        let (kind, record) = record(kind, value)?;
                        records.entry(kind).or_default().push(record);
                    }
                }
            }
        }
        if !has_texts && !policies.is_empty() {
            records.insert(RecordKind::Txt, policies);
        }
        for kind in KINDS {
            let absent = match times_out {
                true => DnsError::ServFail("no server answered".to_owned()),
                false => DnsError::NoData,
            };
            zone.set(name, kind, records.remove(&kind).ok_or(absent));
        }
    }
    Ok(zone)
}

fn record(kind: &str, value: &Value) -> Fallible<(RecordKind, Record)> {
    Ok(match kind {
        "A" => (RecordKind::A, Record::Address(string(value)?.parse()?)),
        "AAAA" => (RecordKind::Aaaa, Record::Address(string(value)?.parse()?)),
        "PTR" => (RecordKind::Ptr, Record::Ptr(DnsName::parse(string(value)?)?)),
        "MX" => {
            let preference = value[0].as_u64().ok_or("an MX record without preference")?.try_into()?;
            let exchange = match string(&value[1])? {
                "" => None,
                host => Some(DnsName::parse(host)?),
            };
            (RecordKind::Mx, Record::Mx { preference, exchange })
        }
        _ => return Err(format!("records of the type {kind}").into()),
    })
}

/// A TXT record of one string, or of several.
fn text(value: &Value) -> Fallible<Record> {
    let strings: Vec<&str> = match value {
        Value::Array(several) => several.iter().map(string).collect::<Fallible<_>>()?,
        one => vec![string(one)?],
    };
    Ok(Record::Txt(strings.concat().into_bytes()))
}

fn entries(table: &Value) -> Fallible<Vec<(&str, &Value)>> {
    let table = table.as_object().ok_or_else(|| format!("{table} is no table"))?;
    Ok(table.iter().map(|(key, value)| (key.as_str(), value)).collect())
}

fn string(value: &Value) -> Fallible<&str> {
    value.as_str().ok_or_else(|| format!("{value} is no string").into())
}
