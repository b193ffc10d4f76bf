//! Messages, keys and a DNS for tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;

use super::{
    BodyHasher, BodyHashes, BodyMethod, DkimReport, SigningKey, body_methods, generate_ed25519, verify,
};
use crate::model::UtcTime;
use crate::model::message::{HeaderScan, HeaderSplit};
use crate::platform::{Answer, Dns, DnsError, Entropy, Question, Record, RecordKind};

/// When the messages of these tests are read.
pub(in crate::authn) const NOW: UtcTime = UtcTime(1_795_306_347_500);

/// TXT records by name.
#[derive(Default)]
pub(in crate::authn) struct Zone {
    records: BTreeMap<String, Result<Vec<Vec<u8>>, DnsError>>,
    pub(in crate::authn) asked: Mutex<Vec<String>>,
}

impl Zone {
    pub(in crate::authn) fn new<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut zone = Self::default();
        records.into_iter().for_each(|(name, text)| zone.add(name, text));
        zone
    }

    pub(in crate::authn) fn add(&mut self, name: &str, text: &str) {
        let records = self.records.entry(name.to_owned()).or_insert_with(|| Ok(Vec::new()));
        records.as_mut().unwrap().push(text.as_bytes().to_vec());
    }

    pub(in crate::authn) fn fail(&mut self, name: &str, error: DnsError) {
        self.records.insert(name.to_owned(), Err(error));
    }
}

#[async_trait]
impl Dns for Zone {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        assert_eq!(question.kind, RecordKind::Txt);
        let name = question.name.as_str();
        self.asked.lock().unwrap().push(name.to_owned());
        let texts = self.records.get(name).cloned().unwrap_or(Err(DnsError::NxDomain))?;
        let records = texts.into_iter().map(Record::Txt).collect();
        Ok(Answer { records, secure: false, ttl: Duration::from_mins(5) })
    }
}

/// Octets that look random and are always the same.
pub(in crate::authn) struct Dice(Mutex<u64>);

impl Dice {
    pub(in crate::authn) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Entropy for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for octet in buffer {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (*state >> 56) as u8;
        }
    }
}

pub(in crate::authn) fn rsa_key() -> SigningKey {
    SigningKey::from_pkcs8(&STANDARD.decode(RSA_2048.concat()).unwrap()).unwrap()
}

pub(in crate::authn) fn ed25519_key() -> SigningKey {
    SigningKey::from_pkcs8(&generate_ed25519(&Dice::new(7))).unwrap()
}

/// The header block and the body.
pub(in crate::authn) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut scan = HeaderScan::default();
    let end = match scan.advance(message) {
        HeaderSplit::At(end) => end,
        HeaderSplit::Unfinished => scan.finish(message),
    };
    message.split_at(end)
}

pub(in crate::authn) fn hash(body: &[u8], methods: impl IntoIterator<Item = BodyMethod>) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods);
    hasher.push(body);
    hasher.finish()
}

pub(in crate::authn) fn verify_at(message: &[u8], zone: &Zone, now: UtcTime) -> DkimReport {
    let (header, body) = split(message);
    let bodies = hash(body, body_methods(header));
    verify(header, &bodies, zone, now).now_or_never().expect("the zone answers at once")
}

/// PKCS#8 in base64.
pub(in crate::authn) const RSA_2048: &[&str] = &[
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQD1TOT0AG+pWr/LFIQa+NrTnoRsGelsPuuT40cenuC8VPRD",
    "Mv4TUercvZw0A0dhJkWD+uEF4zGaXrB3YYA0wbRe839fdWUXhntAnEM9fRSqQMr/yZdtEk68SN1J+xsHLloSnGIWXIbdf1hV",
    "SjJ7PgMv2iTtE7/dMIB/08qmDQvEvzmsL59UJxQhk7d8vH9N+xIt8XBQjiW3EDH5EAdX8HHYeDeEMZoOBdmn4ZN3KPPRpO/s",
    "9B/qW4/8awgwRreTLG1sb7gcUIXg/bMS/AP04sL7ksQhQY1ho+L/w9TcVwuiclNkOBsEeVB3barx0Y6BGuQqjDPicG5eG5hZ",
    "mf8IT+4dAgMBAAECggEAFeG89MU122zJz3MDkSe3gYl89OsKJwqlLM/pRWJ/2AeuCHE74qZRO01mFJUMS4QZ+brUqEKgPKM2",
    "E62CEx1fxS6XI1akuh4C0FHVhQkrjD/JEVs+zk8umzOBcKWH6jKTfLXa4XVx3xVf4FqE4/iKrpHuRFXELOuJiEhGJgeOOrJ1",
    "hwfs2cq2wmUOJQwimLBrMNp3tsmgoUX6pOZZOU1LSvpfsrvaLycflNElv65lsysIS5TRAJKOCGW7wtiMbmyAbeKox8FYlmfT",
    "SjFfUpgRGNLhkieoMuWGK9ZDdPbo8+m93Z6L6rep09qmnFfe1eG9gRhzxoJpmfEir0F2AvXKAwKBgQD627f/G20uBJfdPB9E",
    "NVsAWElr3a7Mwb4m8TuqelqMfxTH8XTyGCnbh0ffaIJ6mMd7LyEum6EBtUekA0su7xYCZzizg47rs2T37gnaQPvM1KfMflKU",
    "TvlmRht+sm4yYl5gSFgITWcLp4docW6ec5HqSiTIWE0y5jJujaKJ2mSJywKBgQD6VAM9Jzjg56Jyj9xW8laNdGaFJizMxzo1",
    "71Rnn7XZxuBfseBTfY50DgQyPIy85U/i9jDNLcoRM/JkL9R0RddWrYe1DLvz+Mh7alZ0Wbroic9PyGv7wZ3dl+nVJnS+phHI",
    "0l0zHXCrX5SlLIBe9dd5OSjfYtXyTX9p5uBJ6z6KtwKBgQDRbEyXNJZZLIx7rY2Mq95k00+4NUGQvs24RPvCvpKJaC45HWK8",
    "GWAYXT+rStxi7NjcBeR1vIcVnflI+1bwv7hoGTRE6TePnhxUvuyKwGV2ArJzDaJzHdsnfq/FfcBxX53aU4rqo3O7TwjEMK5g",
    "qarPJUa/2rfYHkVL9gITg7cbMQKBgEdqenYS34ZCbzTx1/GyN4EpqSnpZzSQzgmfGtxpUw8rTs3eSFppYp+3c/kFDz3Ayha9",
    "F9UhcBmSUV/FyX3WgwXGggXj+Sc0XbXf84REKS+4ST3AtxXe+fPDKEHYM8xEQqShZ1dy2bb6kMTCumjdCDkcVo3Me68h7uy+",
    "olRUWcZnAoGAVk8Klyw0OVV35WOiXo9zCCPjP25B34GwsvrSF9swcXrnX+0Fjs4BSxTgJ5NXAxPUvFwkgHWFFmPceD3CvG3d",
    "s4D5hk+sr3dVDAEcreh5Gliz0MTNr7ALYoi3g22np0DcRBtjVWRD5IBPI1zZSBonBzzESyDuBmxyU6ZSORvviYc=",
];
