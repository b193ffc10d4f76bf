//! What names a bucket, and how it is reached.

use std::fmt;

use url::Url;

use super::OpenError;
use super::environment::Environment;
use super::profile::Profile;
use crate::adapter;

/// Where a region is asked for and none is known.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket, and how it is reached. What is not given here comes from the environment, then from the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket's name.
    pub bucket: String,
    /// What all keys begin with, without a slash at its ends; empty for none.
    pub prefix: String,
    /// The server's URL, `http://HOST[:PORT]` or `https://HOST[:PORT]`; by default that of AWS in the region.
    pub endpoint: Option<String>,
    /// The region that signatures name.
    pub region: Option<String>,
    /// Whether the bucket's name is part of the host's name, rather than of the path. By default it is where there is no
    /// endpoint and the bucket's name can be a label of a host's name.
    pub virtual_host_style: Option<bool>,
    /// Credentials; by default those of the environment, the profile, or the place where this runs.
    pub credentials: Option<S3Credentials>,
    /// Name of the profile; by default `AWS_PROFILE`, or else `default`.
    pub profile: Option<String>,
}

/// Credentials that the operator gave. The secrets do not show in its debug form.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The access key's identity.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// What comes with temporary credentials.
    pub session_token: Option<String>,
}

/// The place that settings, environment and profile make out together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The URL of the bucket, which keys are appended to after a slash.
    pub(super) url: String,
    /// What object_store takes for an endpoint: with the bucket's name in it where that is part of the host's.
    pub(super) endpoint: String,
    pub(super) is_virtual_host: bool,
    pub(super) is_http: bool,
    pub(super) region: String,
}

impl S3Settings {
    /// Settings from `s3://bucket` or `s3://bucket/prefix`, with everything else left to its defaults.
    pub fn from_url(url: &str) -> Result<Self, OpenError> {
        let rest = url
            .strip_prefix("s3://")
            .ok_or_else(|| OpenError(format!("{url:?} is not of the form s3://bucket/prefix")))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let settings =
            Self { bucket: bucket.into(), prefix: prefix.trim_end_matches('/').into(), ..Self::default() };
        settings.check()?;
        Ok(settings)
    }

    /// Fails where bucket or prefix cannot be what they are meant for.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        if !(3..=255).contains(&self.bucket.len()) || !self.bucket.bytes().all(is_plain) {
            return Err(OpenError(format!("{:?} is not the name of a bucket", self.bucket)));
        }
        if !self.prefix.is_empty() && adapter::path(&self.prefix).is_err() {
            return Err(OpenError(format!("{:?} cannot be what keys begin with", self.prefix)));
        }
        Ok(())
    }

    /// Puts together where the bucket is.
    pub(super) fn location(
        &self,
        environment: &Environment,
        profile: &Profile,
    ) -> Result<Location, OpenError> {
        let region = self
            .region
            .as_deref()
            .or_else(|| environment.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
            .or_else(|| profile.get("region"))
            .unwrap_or(DEFAULT_REGION);
        let given = self
            .endpoint
            .as_deref()
            .or_else(|| environment.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]))
            .or_else(|| profile.get("endpoint_url"));
        let is_virtual_host =
            self.virtual_host_style.unwrap_or(given.is_none() && is_host_label(&self.bucket));
        let (scheme, authority) = match given {
            Some(url) => server(url)?,
            None => ("https", format!("s3.{region}.amazonaws.com")),
        };
        if !region.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
            return Err(OpenError(format!("{region:?} is not the name of a region")));
        }
        let bucket = &self.bucket;
        let (url, endpoint) = if is_virtual_host {
            let url = format!("{scheme}://{bucket}.{authority}");
            (url.clone(), url)
        } else {
            (format!("{scheme}://{authority}/{bucket}"), format!("{scheme}://{authority}"))
        };
        // Signing takes it for granted that this can be parsed.
        Url::parse(&url).map_err(|error| OpenError(format!("the bucket's URL {url:?}: {error}")))?;
        Ok(Location { url, endpoint, is_virtual_host, is_http: scheme == "http", region: region.into() })
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Scheme and authority of an endpoint's URL.
fn server(url: &str) -> Result<(&'static str, String), OpenError> {
    let refused = |reason: &str| OpenError(format!("the endpoint {url:?} {reason}"));
    let url = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
    let scheme = match url.scheme() {
        "http" => "http",
        "https" => "https",
        _ => return Err(refused("is neither http:// nor https://")),
    };
    let is_server_alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_server_alone || url.authority().contains('@') {
        return Err(refused(
            "has more than a host and a port: bucket and credentials are named apart from it",
        ));
    }
    Ok((scheme, url.authority().into()))
}

/// Whether a certificate for `*.s3.REGION.amazonaws.com` covers the host of this name.
fn is_host_label(bucket: &str) -> bool {
    let is_of_label = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    bucket.len() <= 63 && bucket.bytes().all(is_of_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_url_names_bucket_and_prefix() {
        for (url, bucket, prefix) in [
            ("s3://mail", "mail", ""),
            ("s3://mail/", "mail", ""),
            ("s3://mail/prod", "mail", "prod"),
            ("s3://mail.example/a/b/", "mail.example", "a/b"),
        ] {
            let settings = S3Settings::from_url(url).unwrap();
            assert_eq!((&settings.bucket[..], &settings.prefix[..]), (bucket, prefix), "{url}");
        }
        for url in [
            "mail",
            "s3:mail",
            "s3://",
            "s3:///a",
            "s3://ma",
            "s3://a b c",
            "s3://mail/a//b",
            "s3://mail/../b",
        ] {
            assert!(S3Settings::from_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_place_comes_from_settings_then_environment_then_profile() {
        let profile =
            Profile::parse("[default]\nregion = eu-west-1\nendpoint_url = http://profile:1", "", "default");
        let both = [("AWS_ENDPOINT_URL", "http://env:2/"), ("AWS_DEFAULT_REGION", "eu-west-2")];
        let given = S3Settings {
            endpoint: Some("https://given:3".into()),
            region: Some("eu-west-3".into()),
            ..S3Settings::from_url("s3://mail").unwrap()
        };
        let bare = S3Settings::from_url("s3://mail").unwrap();
        let dotted = S3Settings::from_url("s3://mail.example").unwrap();
        let hosted = S3Settings { virtual_host_style: Some(true), ..given.clone() };
        let none = Profile::default();
        for (settings, variables, profile, url, region) in [
            (&given, &both[..], &profile, "https://given:3/mail", "eu-west-3"),
            (&hosted, &both[..], &profile, "https://mail.given:3", "eu-west-3"),
            (&bare, &both[..], &profile, "http://env:2/mail", "eu-west-2"),
            (&bare, &[], &profile, "http://profile:1/mail", "eu-west-1"),
            (&bare, &[], &none, "https://mail.s3.us-east-1.amazonaws.com", "us-east-1"),
            (&dotted, &[], &none, "https://s3.us-east-1.amazonaws.com/mail.example", "us-east-1"),
        ] {
            let location = settings.location(&environment(variables), profile).unwrap();
            assert_eq!((&location.url[..], &location.region[..]), (url, region));
        }
    }

    #[test]
    fn an_endpoint_is_a_server_and_nothing_else() {
        for url in [
            "host:80",
            "ftp://host",
            "http://",
            "http://999.1.2.3",
            "http://user@host",
            "http://host/bucket",
            "http://host/?a=b",
        ] {
            let settings =
                S3Settings { endpoint: Some(url.into()), ..S3Settings::from_url("s3://mail").unwrap() };
            assert!(settings.location(&Environment::default(), &Profile::default()).is_err(), "{url}");
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = S3Credentials {
            access_key_id: "id".into(),
            secret_access_key: "hush".into(),
            session_token: Some("hush".into()),
        };
        assert!(!format!("{secret:?}").contains("hush"));
        assert!(!format!("{:?}", environment(&[("AWS_SECRET_ACCESS_KEY", "hush")])).contains("hush"));
    }
}
