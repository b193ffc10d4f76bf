//! Logging in with tokens, beside an issuer and an introspection server that do as they are told.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fulmar_core::config::{AuthSettings, Introspection, Issuer, KeySource};
use fulmar_core::platform::Stream;
use fulmar_core::sasl::{Failure, Mechanism};
use fulmar_core::service::authentication::How;
use fulmar_tests::issuer::Signer;
use fulmar_tests::runtime::Runtime;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};

use super::world::{ALICE, BOB, Node, World, address, in_world};

const HOME: &str = "192.0.2.1";
const ISSUER: &str = "https://id.home.test";
const AUDIENCE: &str = "mail";

/// A server of HTTP with one answer to everything.
#[derive(Clone, Default)]
struct Server {
    answer: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Begins to serve, and gives where.
    fn listen(&self, world: &World) -> SocketAddr {
        let (server, spawn) = (self.clone(), world.platform.spawn.clone());
        let serve = move |stream: Box<dyn Stream>, _| {
            spawn.spawn(Box::pin(server.clone().serve(stream)));
        };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        world.simulation.listen(anywhere, Box::pin(pending()), Box::new(serve)).unwrap()
    }

    async fn serve(self, mut stream: Box<dyn Stream>) {
        let mut request = String::new();
        let mut buffer = [0; 4096];
        let is_whole = |request: &str| {
            let (head, body) = request.split_once("\r\n\r\n")?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            (body.len() >= length.map_or(0, |length| length.parse().unwrap())).then_some(())
        };
        while is_whole(&request.to_ascii_lowercase()).is_none() {
            match stream.read(&mut buffer).await {
                Ok(octets @ 1..) => request.push_str(std::str::from_utf8(&buffer[..octets]).unwrap()),
                _ => return,
            }
        }
        self.requests.lock().unwrap().push(request);
        let answer = self.answer.lock().unwrap().clone();
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        // A client that goes away has its reasons.
        let _ = stream.write_all((head + &answer).as_bytes()).await;
        let _ = stream.close().await;
    }

    fn set(&self, answer: &Value) {
        *self.answer.lock().unwrap() = answer.to_string();
    }

    fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A node that believes an issuer, whose keys are there.
async fn believing(world: &World, server: &Server) -> Node {
    let keys = KeySource::Url(format!("http://{}/keys", server.listen(world)));
    let (issuer, audience, account_claim) = (ISSUER.into(), AUDIENCE.into(), "email".into());
    let issuer = Issuer { issuer, audience, keys, account_claim };
    world.node_with(|auth: &mut AuthSettings| auth.issuers = vec![issuer]).await
}

/// What a token for Alice says that is good for another hour, with some of it said otherwise.
fn claims(world: &World, otherwise: Value) -> Value {
    let now = world.platform.clock.utc().0 / 1_000;
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 3_600, "email": ALICE});
    for (name, value) in otherwise.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

async fn xoauth2(node: &Node, user: &str, token: &str) -> Result<(String, How), Failure> {
    let message = format!("user={user}\x01auth=Bearer {token}\x01\x01");
    node.respond(Mechanism::Xoauth2, HOME, message.as_bytes()).await
}

async fn oauthbearer(node: &Node, authzid: &str, token: &str) -> Result<(String, How), Failure> {
    let authzid = if authzid.is_empty() { String::new() } else { format!("a={authzid}") };
    let message = format!("n,{authzid},\x01auth=Bearer {token}\x01\x01");
    node.respond(Mechanism::OauthBearer, HOME, message.as_bytes()).await
}

#[test]
fn a_token_lets_in_whom_its_issuer_says_and_only_where_it_is_meant_for_us() {
    in_world(async |world| {
        let (server, signer) = (Server::default(), Signer::new(1, "one"));
        server.set(&json!({"keys": [signer.jwk()]}));
        let node = believing(&world, &server).await;
        let good = signer.sign(&claims(&world, json!({})));
        let in_as_alice = Ok((ALICE.to_owned(), How::Token));
        assert_eq!(xoauth2(&node, ALICE, &good).await, in_as_alice);
        assert_eq!(xoauth2(&node, "alice", &good).await, in_as_alice);
        assert_eq!(oauthbearer(&node, "", &good).await, in_as_alice);
        assert_eq!(oauthbearer(&node, ALICE, &good).await, in_as_alice);
        let now = world.platform.clock.utc().0 / 1_000;
        let forged = Signer::new(2, "one").sign(&claims(&world, json!({})));
        for (case, token) in [
            ("signed by somebody else", forged),
            ("over", signer.sign(&claims(&world, json!({"exp": now - 61})))),
            ("not begun", signer.sign(&claims(&world, json!({"nbf": now + 3_000})))),
            ("for others", signer.sign(&claims(&world, json!({"aud": "shop"})))),
            (
                "of an issuer that nobody knows",
                signer.sign(&claims(&world, json!({"iss": "https://x.test"}))),
            ),
            ("of nobody here", signer.sign(&claims(&world, json!({"email": "nobody@home.test"})))),
            ("of Bob", signer.sign(&claims(&world, json!({"email": BOB})))),
            ("cut", good[..good.len() - 3].to_owned()),
            ("no token of this kind", "opaque".to_owned()),
        ] {
            assert_eq!(xoauth2(&node, ALICE, &token).await, Err(Failure::Credentials), "{case}");
        }
        world.admin.account_set_disabled(&address(ALICE), true).await.unwrap();
        assert_eq!(xoauth2(&node, ALICE, &good).await, Err(Failure::Credentials));
        assert_eq!(server.asked(), 1, "keys are fetched once");
    });
}

#[test]
fn new_keys_are_fetched_when_a_token_names_one_and_not_more_often_than_once_a_minute() {
    in_world(async |world| {
        let (server, old, new) = (Server::default(), Signer::new(1, "old"), Signer::new(2, "new"));
        server.set(&json!({"keys": [old.jwk()]}));
        let node = believing(&world, &server).await;
        let [of_old, of_new] = [&old, &new].map(|signer| signer.sign(&claims(&world, json!({}))));
        assert!(xoauth2(&node, ALICE, &of_old).await.is_ok());
        for _ in 0..5 {
            assert_eq!(xoauth2(&node, ALICE, &of_new).await, Err(Failure::Credentials));
        }
        assert_eq!(server.asked(), 1);
        server.set(&json!({"keys": [old.jwk(), new.jwk()]}));
        world.pass(Duration::from_mins(1)).await;
        assert!(xoauth2(&node, ALICE, &of_new).await.is_ok());
        assert!(xoauth2(&node, ALICE, &of_old).await.is_ok());
        assert_eq!(server.asked(), 2);
    });
}

#[test]
fn an_issuer_whose_keys_cannot_be_had_is_no_reason_to_refuse() {
    in_world(async |world| {
        let (server, signer) = (Server::default(), Signer::new(1, "one"));
        server.set(&json!("no keys"));
        let node = believing(&world, &server).await;
        let token = signer.sign(&claims(&world, json!({})));
        assert_eq!(xoauth2(&node, ALICE, &token).await, Err(Failure::Unavailable));
        server.set(&json!({"keys": [signer.jwk()]}));
        world.pass(Duration::from_mins(1)).await;
        assert!(xoauth2(&node, ALICE, &token).await.is_ok());
    });
}

#[test]
fn what_is_no_token_of_an_issuer_is_asked_about() {
    in_world(async |world| {
        let server = Server::default();
        let introspection = Introspection {
            url: format!("http://{}/introspect", server.listen(&world)),
            client_id: "fulmar:1".into(),
            client_secret: "s3cret".into(),
            audience: None,
            account_claim: "username".into(),
        };
        let node = world.node_with(|auth: &mut AuthSettings| auth.introspection = Some(introspection)).await;
        let now = world.platform.clock.utc().0 / 1_000;
        for (answer, is_in) in [
            (json!({"active": true, "username": ALICE}), true),
            (json!({"active": true, "username": ALICE, "exp": now + 10}), true),
            (json!({"active": true, "username": ALICE, "exp": now - 61}), false),
            (json!({"active": true, "username": BOB}), false),
            (json!({"active": true}), false),
            (json!({"active": "true", "username": ALICE}), false),
            (json!({"active": false, "username": ALICE}), false),
        ] {
            server.set(&answer);
            assert_eq!(xoauth2(&node, ALICE, "opaque+1").await.is_ok(), is_in, "{answer}");
        }
        let request = server.requests.lock().unwrap()[0].clone();
        assert!(request.starts_with("POST /introspect HTTP/1.1\r\n"), "{request}");
        // fulmar%3A1:s3cret
        assert!(request.contains("authorization: Basic ZnVsbWFyJTNBMTpzM2NyZXQ=\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\ntoken=opaque%2B1&token_type_hint=access_token"), "{request}");
        server.set(&json!("what?"));
        assert_eq!(xoauth2(&node, ALICE, "opaque").await, Err(Failure::Unavailable));
    });
}
