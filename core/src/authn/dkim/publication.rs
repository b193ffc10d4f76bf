//! Whether the world can verify what a key signs.

use super::key::{KeyRecord, find};
use super::{Flaw, SigningKey};
use crate::model::Domain;
use crate::platform::{Dns, Question, RecordKind};

/// Why signatures of a key would not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// There is no record that can be used.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// There is one, of another key. Where there are several, verifiers take any of them (RFC 6376 §3.6.2.2).
    #[error("another key is there")]
    OtherKey,
}

/// Whether the record of this key, and of no other, is at this name.
pub async fn check_publication(name: &Domain, key: &SigningKey, dns: &dyn Dns) -> Result<(), NotPublished> {
    let own = KeyRecord::parse(key.public_record().as_bytes())?;
    let found = find(dns, &Question { name: name.clone().into(), kind: RecordKind::Txt }).await?;
    if found.iter().all(|record| record.has_same_key(&own)) { Ok(()) } else { Err(NotPublished::OtherKey) }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::super::testing::{Zone, ed25519_key, rsa_key};
    use super::*;

    const NAME: &str = "one._domainkey.example.org";

    fn check(records: &[&str]) -> Result<(), NotPublished> {
        let zone = Zone::new(records.iter().map(|record| (NAME, *record)));
        let checked = check_publication(&Domain::parse(NAME).unwrap(), &rsa_key(), &zone).now_or_never();
        checked.expect("the zone answers at once")
    }

    #[test]
    fn a_key_is_published_where_its_record_is_and_no_other() {
        let (own, other) = (rsa_key().public_record(), ed25519_key().public_record());
        let spaced = own.replace("; ", ";\t").replace("v=DKIM1", "v = DKIM1");
        for (records, expected) in [
            (vec![own.as_str()], Ok(())),
            (vec![spaced.as_str()], Ok(())),
            (vec![own.as_str(), "v=spf1 -all"], Ok(())),
            (vec![], Err(Flaw::NoKey.into())),
            (vec!["v=DKIM1; p="], Err(Flaw::KeyRevoked.into())),
            (vec![other.as_str()], Err(NotPublished::OtherKey)),
            (vec![own.as_str(), other.as_str()], Err(NotPublished::OtherKey)),
        ] {
            assert_eq!(check(&records), expected, "{records:?}");
        }
    }
}
