use proptest::prelude::*;
use ring::hmac::{self, HMAC_SHA256};
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};

use super::*;
use crate::sasl::{Answer, Channel, Exchange, Mechanism, Question, Step};

/// A client (RFC 5802 §5), of which each part can be made to lie.
struct Client {
    /// With its last comma.
    header: String,
    bare: String,
    binding: Vec<u8>,
    password: &'static str,
}

impl Client {
    fn new(header: &str, user: &str, password: &'static str, binding: &[u8]) -> Self {
        let bare = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL");
        Self { header: header.to_owned(), bare, binding: binding.to_vec(), password }
    }

    fn first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.bare).into_bytes()
    }

    /// The final message, and what the server must prove itself with.
    fn last(&self, challenge: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let challenge = std::str::from_utf8(challenge).unwrap();
        let parts: Vec<&str> = challenge.split(',').map(|part| &part[2..]).collect();
        let salt = STANDARD.decode(parts[1]).unwrap();
        let mut salted = [0; KEY_OCTETS];
        let password = crate::sasl::prepare(self.password);
        pbkdf2::derive(
            PBKDF2_HMAC_SHA256,
            parts[2].parse().unwrap(),
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let binding = [self.header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={}", STANDARD.encode(binding), parts[0]);
        let message = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = ring::digest::digest(&ring::digest::SHA256, &client_key);
        let signature = mac(stored_key.as_ref(), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
        let server = mac(&mac(&salted, b"Server Key"), message.as_bytes());
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        (last.into_bytes(), format!("v={}", STANDARD.encode(server)).into_bytes())
    }
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message).as_ref().to_vec()
}

const BINDING: &[u8] = &[0xaa; 32];

fn channel(binding: Option<&[u8]>) -> Channel {
    Channel { binding: binding.map(Bytes::copy_from_slice), ..Channel::default() }
}

/// How a whole exchange ends.
fn run(
    mechanism: Mechanism,
    channel: Channel,
    client: &Client,
    verifier: Verifier,
) -> Result<Proof, Failure> {
    let mut exchange = Exchange::begin(mechanism, channel, [7; NONCE_OCTETS]);
    match exchange.start(Some(&client.first())) {
        Step::Ask(Question::ScramVerifier { .. }) => {}
        Step::Over(over) => return over,
        step => panic!("{step:?}"),
    }
    let Step::Challenge(challenge) = exchange.answer(Answer::Verifier(verifier)) else {
        panic!("no challenge")
    };
    let (last, server) = client.last(&challenge);
    match exchange.respond(&last) {
        Step::Ask(Question::Proved) => {}
        Step::Over(over) => return over,
        step => panic!("{step:?}"),
    }
    assert_eq!(exchange.answer(Answer::Granted), Step::Challenge(server));
    match exchange.respond(b"") {
        Step::Over(over) => over,
        step => panic!("{step:?}"),
    }
}

fn verifier() -> Verifier {
    Verifier::of("pencil", [5; SALT_OCTETS]).unwrap()
}

#[test]
fn the_example_of_rfc_7677_is_reproduced() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Verifier::salted("pencil", &salt, 4096.try_into().unwrap());
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let mut first = First::read(first, None, false, [0; NONCE_OCTETS]).unwrap();
    assert_eq!((&*first.authcid, &*first.authzid), ("user", ""));
    first.nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
    let (challenged, challenge) = first.challenge(verifier);
    let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(String::from_utf8(challenge).unwrap(), expected);
    let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let (proof, signature) = challenged.conclude(last.as_bytes()).unwrap();
    assert_eq!(signature, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert_eq!(proof, Proof { authcid: "user".into(), authzid: String::new() });
}

#[test]
fn only_the_password_and_the_true_channel_let_a_client_in() {
    use Mechanism::{ScramSha256 as Scram, ScramSha256Plus as Plus};
    let bound = "p=tls-exporter,,";
    let cases = [
        ("no binding", Scram, None, Client::new("n,,", "user", "pencil", b""), None),
        ("none where there is one", Scram, Some(BINDING), Client::new("n,,", "user", "pencil", b""), None),
        ("could, and truly was not offered", Scram, None, Client::new("y,,", "user", "pencil", b""), None),
        ("bound", Plus, Some(BINDING), Client::new(bound, "user", "pencil", BINDING), None),
        (
            "wrong password",
            Scram,
            None,
            Client::new("n,,", "user", "Pencil", b""),
            Some(Failure::Credentials),
        ),
        (
            "the PLUS was taken out on the way",
            Scram,
            Some(BINDING),
            Client::new("y,,", "user", "pencil", b""),
            Some(Failure::Downgraded),
        ),
        (
            "bound to somebody else's channel",
            Plus,
            Some(BINDING),
            Client::new(bound, "user", "pencil", &[0xab; 32]),
            Some(Failure::Credentials),
        ),
        (
            "another kind of binding",
            Plus,
            Some(BINDING),
            Client::new("p=tls-unique,,", "user", "pencil", BINDING),
            Some(Failure::Malformed),
        ),
        (
            "PLUS without binding",
            Plus,
            Some(BINDING),
            Client::new("n,,", "user", "pencil", b""),
            Some(Failure::Malformed),
        ),
        (
            "PLUS that says that it was not offered",
            Plus,
            Some(BINDING),
            Client::new("y,,", "user", "pencil", b""),
            Some(Failure::Malformed),
        ),
        (
            "binding under the name without PLUS",
            Scram,
            Some(BINDING),
            Client::new(bound, "user", "pencil", BINDING),
            Some(Failure::Malformed),
        ),
        (
            "PLUS where there is nothing to bind to",
            Plus,
            None,
            Client::new(bound, "user", "pencil", BINDING),
            Some(Failure::Malformed),
        ),
    ];
    for (case, mechanism, binding, client, failure) in cases {
        let end = run(mechanism, channel(binding), &client, verifier());
        assert_eq!(end.as_ref().err().copied(), failure, "{case}: {end:?}");
    }
}

#[test]
fn a_client_that_is_refused_although_it_knows_the_password_does_not_learn_that_it_does() {
    let client = Client::new("n,,", "user", "pencil", b"");
    let mut exchange = Exchange::begin(Mechanism::ScramSha256, channel(None), [7; NONCE_OCTETS]);
    exchange.start(Some(&client.first()));
    let Step::Challenge(challenge) = exchange.answer(Answer::Verifier(verifier())) else {
        panic!("no challenge")
    };
    assert_eq!(exchange.respond(&client.last(&challenge).0), Step::Ask(Question::Proved));
    assert_eq!(exchange.answer(Answer::Refused), Step::Over(Err(Failure::Credentials)));
}

#[test]
fn names_are_unescaped_and_prepared_and_a_password_may_be_in_any_script() {
    let client = Client::new("n,a=other=3Dx,", "u=2Cv\u{ad}w", "p\u{e4}ss w\u{f6}rd", b"");
    let verifier = Verifier::of("pa\u{308}ss w\u{f6}rd", [5; SALT_OCTETS]).unwrap();
    let proof = run(Mechanism::ScramSha256, channel(None), &client, verifier).unwrap();
    assert_eq!(proof, Proof { authcid: "u,vw".into(), authzid: "other=x".into() });
}

#[test]
fn a_decoy_is_always_the_same_and_looks_like_a_verifier_and_lets_nobody_in() {
    let (one, again) = (Verifier::decoy(b"secret", "nobody"), Verifier::decoy(b"secret", "nobody"));
    assert_eq!(one, again);
    for (secret, name) in [("other", "nobody"), ("secret", "nobody2")] {
        let other = Verifier::decoy(secret.as_bytes(), name);
        assert!(other != one && other.salt() != one.salt());
    }
    let real = verifier();
    assert_eq!((one.salt().len(), one.iterations()), (real.salt().len(), real.iterations()));
    let client = Client::new("n,,", "nobody", "pencil", b"");
    assert_eq!(run(Mechanism::ScramSha256, channel(None), &client, one), Err(Failure::Credentials));
}

#[test]
fn a_verifier_survives_text_and_does_not_show() {
    let verifier = verifier();
    let text = String::from(verifier.clone());
    assert!(text.starts_with("SCRAM-SHA-256$10000:BQUFBQUFBQUFBQUFBQUFBQ==$"), "{text}");
    assert_eq!(text.parse(), Ok(verifier.clone()));
    assert_eq!(format!("{verifier:?}"), "Verifier(***)");
    for wrong in ["", "SCRAM-SHA-1$1:AA==$AA==:AA==", "SCRAM-SHA-256$0:AA==$AA==:AA==", &text[1..]] {
        assert_eq!(wrong.parse::<Verifier>(), Err(VerifierError), "{wrong}");
    }
    assert_eq!(format!("{text}$").parse::<Verifier>(), Err(VerifierError));
}

#[test]
fn messages_of_another_form_are_refused() {
    for first in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=x,n=user",
        "n,,n=,r=x",
        "n,,n=user,r=",
        "x,,n=user,r=x",
        "n,b=user,n=user,r=x",
        "n,,m=ext,n=user,r=x",
        "n,,n=us=er,r=x",
        "n,,n=us=2c,r=x",
        "p=,,n=user,r=x",
        "n,,n=us\0er,r=x",
        "n,,n=user,r=\u{e4}",
    ] {
        let read = First::read(first.as_bytes(), None, false, [0; NONCE_OCTETS]);
        assert_eq!(read.err(), Some(Failure::Malformed), "{first:?}");
    }
    let client = Client::new("n,,", "user", "pencil", b"");
    for (from, to) in [
        ("r=", "r=x"),
        (",p=", ",q="),
        ("c=biws", "c=eSws"),
        ("c=", "d="),
        (",p=", ",p=AA=="),
        (",p=", ",p="),
    ] {
        let first = First::read(&client.first(), None, false, [0; NONCE_OCTETS]).unwrap();
        let (challenged, challenge) = first.challenge(verifier());
        let (last, _) = client.last(&challenge);
        let changed = String::from_utf8(last).unwrap().replace(from, to);
        assert_eq!(challenged.conclude(changed.as_bytes()).is_ok(), from == to, "{from} became {to}");
    }
}

proptest! {
    #[test]
    fn no_change_to_the_final_message_is_taken_for_it(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let client = Client::new("n,,", "user", "pencil", b"");
        let verifier = Verifier::salted("pencil", b"salt", 1.try_into().unwrap());
        let first = First::read(&client.first(), None, false, [0; NONCE_OCTETS]).unwrap();
        let (challenged, challenge) = first.challenge(verifier);
        let (mut last, _) = client.last(&challenge);
        let at = at.index(last.len());
        let is_same = last[at] == octet;
        last[at] = octet;
        prop_assert_eq!(challenged.conclude(&last).is_ok(), is_same);
    }
}
