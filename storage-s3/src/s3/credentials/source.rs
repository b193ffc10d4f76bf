//! Where credentials come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::Spawn;
use http::{Method, Request, header};
use object_store::aws::AwsCredential;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::Issued;
use crate::s3::environment::Environment;
use crate::s3::exchange::Exchange;
use crate::s3::profile::{Profile, ProfileFiles};
use crate::s3::{OpenError, S3Settings};

/// Where a container's credentials are, if only their path is given.
const CONTAINER_SERVICE: &str = "http://169.254.170.2";

/// Where an instance's metadata are.
const METADATA_SERVICE: &str = "http://169.254.169.254";

/// What an instance calls its credentials.
const METADATA_CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";

/// Octets of an answer with credentials; longer ones are refused.
const ANSWER_LIMIT: usize = 64 << 10;

/// Octets of a file with a token; longer ones are refused.
const TOKEN_LIMIT: usize = 64 << 10;

/// Where credentials come from.
pub(in crate::s3) enum Source {
    /// They were given, by the configuration or the environment.
    Given(Issued),
    /// Keys in a profile; read again at each refresh, since other tools renew them there.
    Profile(ProfileFiles),
    /// A role, for the token of an identity that the platform vouches for (STS AssumeRoleWithWebIdentity).
    WebIdentity { token_file: PathBuf, role: String, session: String, endpoint: String },
    /// The service beside a container (ECS tasks, EKS pods).
    Container { url: String, authorization: Authorization },
    /// The metadata service of an instance, version 2.
    Instance { endpoint: String },
}

/// What is shown to the service beside a container.
pub(in crate::s3) enum Authorization {
    None,
    Token(String),
    File(PathBuf),
}

/// Credentials as instances and containers give them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceAnswer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// The answer of STS.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleAnswer {
    assume_role_with_web_identity_result: RoleResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleResult {
    credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

impl Source {
    /// The first that is there: settings, a profile that they name, environment, profile, web identity, container,
    /// instance.
    pub(in crate::s3) fn choose(
        settings: &S3Settings,
        environment: &Environment,
        (files, profile): (ProfileFiles, &Profile),
        region: &str,
    ) -> Result<Self, OpenError> {
        let given = |key: &str, secret: &str, token: Option<&str>| {
            Issued::new(key, secret, token, None).map(Self::Given).map_err(OpenError)
        };
        if let Some(credentials) = &settings.credentials {
            let token = credentials.session_token.as_deref();
            return given(&credentials.access_key_id, &credentials.secret_access_key, token);
        }
        let profile_has_keys = profile.get("aws_access_key_id").is_some();
        if settings.profile.is_some() && !profile_has_keys {
            return Err(OpenError("the profile has no aws_access_key_id".into()));
        }
        if settings.profile.is_some() {
            return Ok(Self::Profile(files));
        }
        match (environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")) {
            (Some(key), Some(secret)) => return given(key, secret, environment.get("AWS_SESSION_TOKEN")),
            (None, None) => {}
            _ => {
                let reason = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: only one of them is set";
                return Err(OpenError(reason.into()));
            }
        }
        if profile_has_keys {
            return Ok(Self::Profile(files));
        }
        Self::of_platform(environment, region)
    }

    /// What the platform offers on which this runs.
    fn of_platform(environment: &Environment, region: &str) -> Result<Self, OpenError> {
        let identity = (environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environment.get("AWS_ROLE_ARN"));
        if let (Some(file), Some(role)) = identity {
            let endpoint = environment.get("AWS_ENDPOINT_URL_STS").map(str::to_owned);
            return Ok(Self::WebIdentity {
                token_file: file.into(),
                role: role.into(),
                session: environment.get("AWS_ROLE_SESSION_NAME").unwrap_or("fulmar").into(),
                endpoint: endpoint.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com")),
            });
        }
        let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let url = relative.map(|path| format!("{CONTAINER_SERVICE}{path}"));
        let full = || environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned);
        if let Some(url) = url.or_else(full) {
            let file = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            let token = || environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN");
            let authorization = match file {
                Some(file) => Authorization::File(file.into()),
                None => token().map_or(Authorization::None, |token| Authorization::Token(token.into())),
            };
            return Ok(Self::Container { url, authorization });
        }
        if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value == "true") {
            return Err(OpenError("no credentials: none in configuration, environment or profile".into()));
        }
        let endpoint = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA_SERVICE);
        Ok(Self::Instance { endpoint: endpoint.trim_end_matches('/').into() })
    }

    /// Fetches credentials.
    pub(super) async fn fetch(&self, exchange: &Exchange, spawn: &Arc<dyn Spawn>) -> Result<Issued, String> {
        match self {
            Self::Given(issued) => Ok(issued.clone()),
            Self::Profile(files) => {
                let files = files.clone();
                let read = spawn.unblock(move || files.read()).await;
                of_profile(&read.ok_or("the reader is gone")?.map_err(|error| error.to_string())?)
            }
            Self::WebIdentity { token_file, role, session, endpoint } => {
                let token = token(spawn, token_file).await?;
                let form = Serializer::new(String::new())
                    .append_pair("Action", "AssumeRoleWithWebIdentity")
                    .append_pair("Version", "2011-06-15")
                    .append_pair("RoleArn", role)
                    .append_pair("RoleSessionName", session)
                    .append_pair("WebIdentityToken", &token)
                    .finish();
                let form_type = (header::CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded");
                of_role(&ask(exchange, Method::POST, endpoint, &[form_type], form).await?)
            }
            Self::Container { url, authorization } => {
                let token = match authorization {
                    Authorization::None => None,
                    Authorization::Token(token) => Some(token.clone()),
                    Authorization::File(file) => Some(token(spawn, file).await?),
                };
                let shown = token.iter().map(|token| (header::AUTHORIZATION.as_str(), &token[..]));
                let shown: Vec<_> = shown.collect();
                of_service(&ask(exchange, Method::GET, url, &shown, String::new()).await?)
            }
            Self::Instance { endpoint } => {
                let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
                let url = format!("{endpoint}/latest/api/token");
                let token = ask(exchange, Method::PUT, &url, &[lifetime], String::new()).await?;
                let shown = [("x-aws-ec2-metadata-token", &token[..])];
                let url = format!("{endpoint}{METADATA_CREDENTIALS}");
                let roles = ask(exchange, Method::GET, &url, &shown, String::new()).await?;
                let role = roles.lines().next().ok_or("the instance has no role")?;
                let url = format!("{url}{role}");
                of_service(&ask(exchange, Method::GET, &url, &shown, String::new()).await?)
            }
        }
    }
}

impl Issued {
    fn new(key: &str, secret: &str, token: Option<&str>, expires: Option<&str>) -> Result<Self, String> {
        // They become part of headers, and object_store panics where they cannot.
        let is_visible = |text: &str| !text.is_empty() && crate::adapter::is_visible(text);
        if !is_visible(key) || !is_visible(secret) || !token.is_none_or(is_visible) {
            return Err("credentials that are empty or hold other than visible characters".into());
        }
        let expires = expires.map(|text| match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Ok(UtcTime(u64::try_from(time.timestamp_millis()).unwrap_or(0))),
            Err(_) => Err(format!("credentials that expire at {text:?}, which is no time")),
        });
        let credential =
            AwsCredential { key_id: key.into(), secret_key: secret.into(), token: token.map(str::to_owned) };
        Ok(Self { credential: Arc::new(credential), expires: expires.transpose()? })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "given credentials",
            Self::Profile(_) => "profile",
            Self::WebIdentity { .. } => "web identity",
            Self::Container { .. } => "container's credentials",
            Self::Instance { .. } => "instance's credentials",
        })
    }
}

fn of_profile(profile: &Profile) -> Result<Issued, String> {
    let key = profile.get("aws_access_key_id").ok_or("the profile has no aws_access_key_id")?;
    let secret = profile.get("aws_secret_access_key").ok_or("the profile has no aws_secret_access_key")?;
    Issued::new(key, secret, profile.get("aws_session_token"), None)
}

fn of_service(answer: &str) -> Result<Issued, String> {
    let answer: ServiceAnswer =
        serde_json::from_str(answer).map_err(|_| "an answer that is no credentials in JSON".to_owned())?;
    let (token, expires) = (answer.token.as_deref(), answer.expiration.as_deref());
    Issued::new(&answer.access_key_id, &answer.secret_access_key, token, expires)
}

fn of_role(answer: &str) -> Result<Issued, String> {
    let answer: RoleAnswer =
        quick_xml::de::from_str(answer).map_err(|_| "an answer that is no credentials in XML".to_owned())?;
    let RoleCredentials { access_key_id, secret_access_key, session_token, expiration } =
        answer.assume_role_with_web_identity_result.credentials;
    Issued::new(&access_key_id, &secret_access_key, session_token.as_deref(), expiration.as_deref())
}

/// The token that a file holds.
async fn token(spawn: &Arc<dyn Spawn>, file: &Path) -> Result<String, String> {
    let path = file.to_path_buf();
    let read = spawn.unblock(move || std::fs::read_to_string(path)).await.ok_or("the reader is gone")?;
    let token = read.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    if token.len() > TOKEN_LIMIT {
        return Err(format!("{} is too long for a token", file.display()));
    }
    Ok(token.trim().to_owned())
}

/// The text that a service answers, if it answers with success.
async fn ask(
    exchange: &Exchange,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<String, String> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(body).into()).map_err(|error| format!("{url}: {error}"))?;
    let answer = exchange.send(request, ANSWER_LIMIT).await.map_err(|error| format!("{url}: {error}"))?;
    if !answer.status().is_success() {
        return Err(format!("{url}: status {}", answer.status()));
    }
    String::from_utf8(answer.into_body().into()).map_err(|_| format!("{url}: an answer that is no text"))
}
