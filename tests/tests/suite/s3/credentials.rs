//! Credentials that expire while mail comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fulmar_core::platform::Clock;
use fulmar_runtime_smol::SmolClock;
use fulmar_tests::fake_s3::{BUCKET, FakeS3};
use fulmar_tests::loopback::Loopback;
use futures::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use super::{ALICE, assert_holds, ground_in, message, trouble};

const MESSAGES: usize = 5;

#[test]
fn credentials_that_the_server_calls_expired_are_replaced_and_no_message_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "token").unwrap();
    let token = token.to_str().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| check(|url| vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]));
        scope.spawn(|| {
            check(|url| {
                vec![
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_owned()),
                    ("AWS_ROLE_ARN", "arn:aws:iam::1:role/mail".to_owned()),
                    ("AWS_ENDPOINT_URL_STS", url),
                ]
            });
        });
    });
}

fn check(variables: impl FnOnce(String) -> Vec<(&'static str, String)>) {
    let (fake, issuer) = (FakeS3::start(), Issuer::start());
    let variables = variables(issuer.url());
    let context = variables[0].0;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &value[..])).collect();
    let node = ground_in(&fake, BUCKET, &variables, |_| ()).account(ALICE).start();
    let sent: Vec<String> = (0..MESSAGES).map(|number| message(number, 1_000)).collect();
    let mut client = node.client();
    for (number, message) in sent.iter().enumerate() {
        if number == 1 {
            fake.expire("key-1");
        }
        client.deliver(&[ALICE], message);
    }
    node.delivered_in_all(sent.len() as u64);
    assert_holds(&node, sent, context);
    assert!(trouble(&node).is_empty(), "{context}: {:?}", trouble(&node));
    assert_eq!(issuer.issued(), 2, "{context}");
}

/// Gives out `key-1`, then `key-2` and so on, each good for an hour: to a GET as a container's service does, to a POST
/// as the service that web identities are shown to.
struct Issuer {
    listener: Loopback,
    issued: Arc<AtomicUsize>,
}

impl Issuer {
    fn start() -> Self {
        let issued = Arc::<AtomicUsize>::default();
        let counted = issued.clone();
        let listener = Loopback::start(move |stream| {
            let counted = counted.clone();
            async move {
                // The client may close at any point.
                let _ = answer(stream, &counted).await;
            }
        });
        Self { listener, issued }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }
}

/// Answers one request. What follows its header is of no interest.
async fn answer(mut stream: TcpStream, issued: &AtomicUsize) -> std::io::Result<()> {
    let (mut request, mut part) = (Vec::new(), [0; 4 << 10]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let octets = stream.read(&mut part).await?;
        if octets == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..octets]);
    }
    let key = format!("key-{}", issued.fetch_add(1, Ordering::SeqCst) + 1);
    let expires = SmolClock.utc().after(Duration::from_secs(3_600)).to_rfc3339();
    let body = if request.starts_with(b"GET ") {
        format!(r#"{{"AccessKeyId":"{key}","SecretAccessKey":"s","Token":"t","Expiration":"{expires}"}}"#)
    } else {
        format!(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>"
        )
    };
    let head = format!("HTTP/1.1 200 Because\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    // Until the client closes: what it may still send must not meet a closed connection.
    while stream.read(&mut part).await? > 0 {}
    Ok(())
}
