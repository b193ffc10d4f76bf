use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use futures_lite::future::block_on;

use super::*;
use crate::s3::profile::ProfileFiles;
use crate::s3::testing::{Jobs, Reply, Server, Standing, client, environment};
use crate::s3::{OpenError, S3Credentials, S3Settings};

fn source(settings: &S3Settings, variables: &[(&str, &str)]) -> Result<Source, OpenError> {
    let environment = environment(variables);
    let files = ProfileFiles::new(settings.profile.as_deref(), &environment);
    let profile = files.read()?;
    Source::choose(settings, &environment, (files, &profile), "eu-west-1")
}

fn credentials(clock: &Arc<Standing>, variables: &[(&str, &str)]) -> Credentials {
    let source = source(&S3Settings::default(), variables).unwrap();
    let exchange = Exchange::new(client(clock), clock.clone());
    Credentials::new(source, exchange, clock.clone(), Arc::new(Jobs))
}

fn issued(key: &str, expires: &str) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{key}","SecretAccessKey":"s","Token":"t","Expiration":"{expires}"}}"#
    )
}

fn ok(body: String) -> Reply {
    Reply::Answer(200, "", body)
}

fn key(credentials: &Credentials) -> Result<String, StoreError> {
    block_on(credentials.current()).map(|credential| credential.key_id.clone())
}

#[test]
fn the_first_source_that_is_there_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "[default]\naws_access_key_id=A\naws_secret_access_key=B\n[empty]\nregion=x\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let profile = [("AWS_SHARED_CREDENTIALS_FILE", file)];
    let identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "role")];
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/")];
    let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
    let bare = S3Settings::default();
    let named = |name: &str| S3Settings { profile: Some(name.into()), ..S3Settings::default() };
    let credentials =
        S3Credentials { access_key_id: "c".into(), secret_access_key: "d".into(), session_token: None };
    let given = S3Settings { credentials: Some(credentials), ..S3Settings::default() };
    for (settings, variables, expected) in [
        (&given, [&keys[..], &profile].concat(), Some("given credentials")),
        (&named("default"), [&keys[..], &profile].concat(), Some("profile")),
        (&named("empty"), [&keys[..], &profile].concat(), None),
        (&named("missing"), [&keys[..], &profile].concat(), None),
        (&bare, [&keys[..], &profile, &identity].concat(), Some("given credentials")),
        (&bare, keys[..1].to_vec(), None),
        (&bare, [&profile[..], &identity, &container].concat(), Some("profile")),
        (&bare, [&identity[..], &container].concat(), Some("web identity")),
        (&bare, [&container[..], &disabled].concat(), Some("container's credentials")),
        (&bare, vec![], Some("instance's credentials")),
        (&bare, disabled.to_vec(), None),
    ] {
        let found = source(settings, &variables).ok().map(|source| source.to_string());
        assert_eq!(found.as_deref(), expected, "{variables:?}");
    }
}

#[test]
fn credentials_that_no_header_could_carry_are_refused() {
    for (key, secret) in [("", "b"), ("a\nb", "c"), ("a", "b c"), ("ä", "b")] {
        let variables = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
        let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
        let variables = [&variables[..], &[disabled]].concat();
        assert!(source(&S3Settings::default(), &variables).is_err(), "{key:?} {secret:?}");
    }
}

#[test]
fn a_profile_is_read_again_when_its_keys_have_expired() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let write = |key: &str| {
        std::fs::write(&file, format!("[default]\naws_access_key_id={key}\naws_secret_access_key=s"))
            .unwrap();
    };
    write("old");
    let clock = Standing::new();
    let credentials = credentials(&clock, &[("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())]);
    assert_eq!(key(&credentials).unwrap(), "old");
    write("new");
    credentials.reject();
    assert_eq!(key(&credentials).unwrap(), "old", "what was just fetched is not what was rejected");
    clock.advance(REFRESH_PAUSE);
    assert_eq!(key(&credentials).unwrap(), "old");
    credentials.reject();
    assert_eq!(key(&credentials).unwrap(), "new");
}

#[test]
fn a_container_shows_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    let clock = Standing::new();
    let expires = clock.later(3_600);
    let server = Server::start(move |_| ok(issued("key", &expires)));
    for (variable, value, shown) in [
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "given", "authorization: given"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap(), "authorization: from-file"),
    ] {
        let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/creds", server.url())[..]);
        let credentials = credentials(&clock, &[full, (variable, value)]);
        let credential = block_on(credentials.current()).unwrap();
        assert_eq!((&credential.key_id[..], credential.token.as_deref()), ("key", Some("t")));
        let request = server.received().pop().unwrap();
        assert_eq!(request.line, "GET /creds");
        assert!(request.head.contains(shown), "{}", request.head);
    }
}

#[test]
fn an_instance_is_asked_for_a_token_then_its_role_then_credentials() {
    let clock = Standing::new();
    let expires = clock.later(3_600);
    let server = Server::start(move |request| {
        let shows_token = request.head.contains("x-aws-ec2-metadata-token: session");
        match &request.line[..] {
            "PUT /latest/api/token" => ok("session".into()),
            "GET /latest/meta-data/iam/security-credentials/" if shows_token => ok("mail-role\n".into()),
            "GET /latest/meta-data/iam/security-credentials/mail-role" if shows_token => {
                ok(issued("instance", &expires))
            }
            _ => Reply::Answer(401, "", String::new()),
        }
    });
    let credentials = credentials(&clock, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())]);
    assert_eq!(key(&credentials).unwrap(), "instance");
    assert_eq!(server.received().len(), 3);
}

#[test]
fn a_web_identity_takes_on_its_role() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "a+b/c=\n").unwrap();
    let clock = Standing::new();
    let expires = clock.later(3_600);
    let server = Server::start(move |_| {
        ok(format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>role</AccessKeyId>
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t=</SessionToken>
             <Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
             </AssumeRoleWithWebIdentityResponse>"
        ))
    });
    let credentials = credentials(
        &clock,
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/mail"),
            ("AWS_ENDPOINT_URL_STS", server.url()),
        ],
    );
    assert_eq!(key(&credentials).unwrap(), "role");
    let request = server.received().pop().unwrap();
    assert_eq!(request.line, "POST /");
    assert_eq!(
        request.body,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fmail\
         &RoleSessionName=fulmar&WebIdentityToken=a%2Bb%2Fc%3D"
    );
}

/// A container's service that issues credentials for ten minutes, numbered, and fails where its answers are to be failures.
fn issuer(clock: &Arc<Standing>) -> (Server, Arc<AtomicUsize>) {
    let failing = Arc::new(AtomicUsize::new(0));
    let (clock, is_failing, number) = (clock.clone(), failing.clone(), AtomicUsize::new(0));
    let server = Server::start(move |_| {
        if is_failing.load(Ordering::Relaxed) > 0 {
            return Reply::Answer(500, "", String::new());
        }
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        ok(issued(&format!("key-{number}"), &clock.later(600)))
    });
    (server, failing)
}

#[test]
fn credentials_are_refreshed_before_they_expire_and_used_as_long_as_they_are_valid() {
    let clock = Standing::new();
    let (server, failing) = issuer(&clock);
    let credentials = credentials(&clock, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url())]);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert_eq!(key(&credentials).unwrap(), "key-1");
    clock.advance(minutes(4));
    assert_eq!(key(&credentials).unwrap(), "key-1");
    clock.advance(minutes(2));
    assert_eq!(key(&credentials).unwrap(), "key-2");
    failing.store(1, Ordering::Relaxed);
    clock.advance(minutes(6));
    assert_eq!(key(&credentials).unwrap(), "key-2");
    let asked = server.received().len();
    assert_eq!(key(&credentials).unwrap(), "key-2");
    assert_eq!(server.received().len(), asked, "a failed refresh is not repeated at once");
    clock.advance(minutes(5));
    for _ in 0..2 {
        let Err(StoreError::Unavailable(reason)) = key(&credentials) else { panic!("not unavailable") };
        assert!(reason.contains("container's credentials") && reason.contains("500"), "{reason}");
    }
    assert_eq!(server.received().len(), asked + 1);
    failing.store(0, Ordering::Relaxed);
    clock.advance(REFRESH_PAUSE);
    assert_eq!(key(&credentials).unwrap(), "key-3");
}

#[test]
fn of_many_requests_without_credentials_one_fetches_them() {
    let clock = Standing::new();
    let (server, failing) = issuer(&clock);
    let credentials = credentials(&clock, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url())]);
    let together = || block_on(join_all((0..10).map(|_| credentials.current())));
    failing.store(1, Ordering::Relaxed);
    assert!(together().iter().all(Result::is_err));
    assert_eq!(server.received().len(), 1);
    failing.store(0, Ordering::Relaxed);
    clock.advance(REFRESH_PAUSE);
    assert!(together().iter().all(Result::is_ok));
    assert_eq!(server.received().len(), 2);
}

#[test]
fn an_answer_that_is_no_credentials_is_told_as_such() {
    for body in ["", "<html>", "{}", r#"{"Code":"Failed","Message":"no role"}"#, &issued("a", "soon")] {
        let clock = Standing::new();
        let answer = body.to_owned();
        let server = Server::start(move |_| ok(answer.clone()));
        let credentials = credentials(&clock, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url())]);
        assert!(matches!(key(&credentials), Err(StoreError::Unavailable(_))), "{body}");
    }
}
