//! A client's side of SCRAM-SHA-256 (RFC 5802 §5), for whoever has to log in.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};

/// One exchange.
#[derive(Clone, Debug)]
pub struct ScramClient {
    /// `gs2-header`, with its last comma.
    header: String,
    bare: String,
    binding: Vec<u8>,
    password: String,
}

impl ScramClient {
    /// A client that binds to these octets of its channel, or to none.
    pub fn new(user: &str, password: &str, binding: Option<&[u8]>) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self {
            header: if binding.is_some() { "p=tls-exporter,," } else { "n,," }.to_owned(),
            bare: format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL"),
            binding: binding.unwrap_or_default().to_vec(),
            password: password.to_owned(),
        }
    }

    /// The first message.
    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.bare).into_bytes()
    }

    /// The final message, and what the server must answer to it.
    pub fn last(&self, challenge: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let challenge = std::str::from_utf8(challenge).expect("a challenge is text");
        let parts: Vec<&str> = challenge.split(',').map(|part| &part[2..]).collect();
        let [nonce, salt, iterations] = parts[..] else { panic!("{challenge}") };
        let salt = STANDARD.decode(salt).expect("base64");
        let mut salted = [0; 32];
        let iterations = iterations.parse().expect("a number");
        pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, &salt, self.password.as_bytes(), &mut salted);
        let binding = [self.header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(binding));
        let message = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = mac(&salted, b"Client Key");
        let signature = mac(digest(&SHA256, &client_key).as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
        let server = mac(&mac(&salted, b"Server Key"), message.as_bytes());
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        (last.into_bytes(), format!("v={}", STANDARD.encode(server)).into_bytes())
    }
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message).as_ref().to_vec()
}
