//! Certificates of our own in the store; `service::certificates` says how nodes take them up.

use bytes::Bytes;

use super::{Admin, AdminError};
use crate::model::UtcTime;
use crate::platform::{Listed, Payload};
use crate::state::layout;
use crate::transport::{Certificate, PEM_LIMIT};

/// A certificate in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// What it is called there.
    pub name: String,
    /// The names for which it is shown.
    pub names: Vec<String>,
    /// The first moment at which it is not valid any more; nothing where it cannot be read.
    pub expires: Option<UtcTime>,
    /// Why clients will not take it, or nodes not show it.
    pub fault: Option<String>,
}

impl Admin {
    /// Puts a certificate, its chain and its key together in PEM form, into the store, or replaces the one of that name; without a name it is
    /// called by the first one that stands in it, `*.` as `_wildcard.`. One that is not valid now is refused.
    pub async fn certificate_add(
        &self,
        name: Option<&str>,
        pem: Vec<u8>,
    ) -> Result<CertificateSummary, AdminError> {
        let read = Certificate::from_pem(&pem).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let own = read.names().first().map(|own| match own.strip_prefix("*.") {
            Some(parent) => format!("_wildcard.{parent}"),
            None => own.clone(),
        });
        let own =
            own.ok_or_else(|| AdminError::Invalid("the certificate is made out to no host".to_owned()))?;
        let name = name.unwrap_or(&own);
        let summary = self.summary(name, &Ok(read));
        if let Some(fault) = summary.fault {
            return Err(AdminError::Invalid(fault));
        }
        let key = certificate_key(name)?;
        self.ensure_format().await?;
        self.requests.put(&key, &Payload::from(Bytes::from(pem))).await?;
        Ok(summary)
    }

    /// All that lie in the store, by name.
    pub async fn certificates(&self) -> Result<Vec<CertificateSummary>, AdminError> {
        let mut summaries = Vec::new();
        for object in self.requests.list(layout::CERTIFICATES, None).await? {
            if let Some(name) = layout::parse_certificate(&object.key) {
                let read = self.certificate(&object).await?;
                summaries.extend(read.map(|read| self.summary(name, &read)));
            }
        }
        summaries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(summaries)
    }

    /// Removes one.
    pub async fn certificate_remove(&self, name: &str) -> Result<(), AdminError> {
        let key = certificate_key(name)?;
        if self.requests.head(&key).await?.is_none() {
            return Err(AdminError::NotFound(format!("no certificate {name}")));
        }
        Ok(self.requests.delete(&[key]).await?)
    }

    /// What an object holds; nothing where it is gone meanwhile.
    async fn certificate(&self, object: &Listed) -> Result<Option<Result<Certificate, String>>, AdminError> {
        if object.size > PEM_LIMIT as u64 {
            return Ok(Some(Err(format!("more than {} KiB", PEM_LIMIT >> 10))));
        }
        let read = self.requests.find(&object.key).await?;
        Ok(read.map(|read| Certificate::from_pem(&read.bytes).map_err(|error| error.to_string())))
    }

    fn summary(&self, name: &str, read: &Result<Certificate, String>) -> CertificateSummary {
        let name = name.to_owned();
        match read {
            Ok(read) => CertificateSummary {
                name,
                names: read.names().to_vec(),
                expires: Some(read.expires()),
                fault: read.fault_at(self.platform.clock.utc()),
            },
            Err(reason) => {
                CertificateSummary { name, names: Vec::new(), expires: None, fault: Some(reason.clone()) }
            }
        }
    }
}

fn certificate_key(name: &str) -> Result<String, AdminError> {
    layout::certificate(name).ok_or_else(|| {
        let allowed = "lower-case letters, digits and . _ -, at most 200";
        AdminError::Invalid(format!("{name:?} is no name for a certificate; allowed: {allowed}"))
    })
}
