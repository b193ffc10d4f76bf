use proptest::prelude::*;

use super::*;
use crate::model::Address;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A channel over which everything can be had but PLUS.
fn channel() -> Channel {
    Channel { binding: None, certificate: Some(vec![address("u@x.test")]), takes_tokens: true }
}

/// The steps of an exchange in words. Each turn is a response, or `?` and an answer.
fn play(mechanism: Mechanism, turns: &[&str]) -> Vec<String> {
    let mut exchange = Exchange::begin(mechanism, channel(), [7; NONCE_OCTETS]);
    let mut steps = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let step = match (*turn, index) {
            ("?yes", _) => exchange.answer(Answer::Granted),
            ("?no", _) => exchange.answer(Answer::Refused),
            ("?away", _) => exchange.answer(Answer::Unavailable),
            ("-", 0) => exchange.start(None),
            (response, 0) => exchange.start(Some(response.as_bytes())),
            (response, _) => exchange.respond(response.as_bytes()),
        };
        steps.push(match step {
            Step::Challenge(challenge) => format!("{:?}", String::from_utf8(challenge).unwrap()),
            Step::Ask(Question::Password { authcid, authzid, password }) => {
                format!("{authcid}/{authzid}: {}", password.expose())
            }
            Step::Ask(Question::Token { authzid, token }) => format!("{authzid}: {}", token.expose()),
            Step::Ask(Question::Certificate { addresses, authzid }) => format!("{}/{authzid}", addresses[0]),
            Step::Ask(question) => format!("{question:?}"),
            Step::Over(Ok(Proof { authcid, authzid })) => format!("is {authcid}/{authzid}"),
            Step::Over(Err(failure)) => format!("{failure:?}"),
        });
    }
    steps
}

#[test]
fn each_mechanism_goes_its_way() {
    use Mechanism::{External, Login, OauthBearer, Plain, Xoauth2};
    let refused = format!("{:?}", String::from_utf8_lossy(bearer::REFUSED));
    let long = format!("\0u\0{}", "x".repeat(password::PASSWORD_LIMIT + 1));
    let oauth = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9d==\x01\x01";
    let cases: [(Mechanism, &[&str], &[&str]); 29] = [
        (Plain, &["\0u\0p w", "?yes"], &["u/: p w", "is u/"]),
        (Plain, &["-", "a\0u\0p", "?yes"], &["\"\"", "u/a: p", "is u/a"]),
        (Plain, &["\0u\0p", "?no"], &["u/: p", "Credentials"]),
        (Plain, &["\0u\0p", "?away"], &["u/: p", "Unavailable"]),
        (Plain, &["\0u\0p", "?yes", "?yes"], &["u/: p", "is u/", "Unavailable"]),
        (Plain, &["\0u\0p", "more"], &["u/: p", "Malformed"]),
        (Plain, &["u\0p"], &["Malformed"]),
        (Plain, &["\0u\0p\0"], &["Malformed"]),
        (Plain, &["\0\0p"], &["Malformed"]),
        (Plain, &["\0u\0"], &["Malformed"]),
        (Plain, &[&long], &["Malformed"]),
        (Plain, &["", "?yes"], &["Malformed", "Unavailable"]),
        (Login, &["-", "u", "p", "?yes"], &["\"Username:\"", "\"Password:\"", "u/: p", "is u/"]),
        (Login, &["u", "p", "?no"], &["\"Password:\"", "u/: p", "Credentials"]),
        (Login, &["-", ""], &["\"Username:\"", "Malformed"]),
        (Login, &["u", "p\0"], &["\"Password:\"", "Malformed"]),
        (External, &["", "?yes"], &["u@x.test/", "is /"]),
        (External, &["-", "a", "?no"], &["\"\"", "u@x.test/a", "Credentials"]),
        (External, &["a\0"], &["Malformed"]),
        (OauthBearer, &[oauth, "?yes"], &["user@example.com: vF9d==", "is /user@example.com"]),
        (OauthBearer, &["n,,\x01auth=bearer t\x01\x01", "?no", "\x01"], &[": t", &refused, "Credentials"]),
        (OauthBearer, &["y,,\x01auth=Bearer t\x01\x01", "?away"], &[": t", "Unavailable"]),
        (OauthBearer, &["n,,\x01auth=Bearer t\x01auth=Bearer s\x01\x01"], &["Malformed"]),
        (OauthBearer, &["n,,\x01auth=Basic t\x01\x01"], &["Malformed"]),
        (OauthBearer, &["p=x,,\x01auth=Bearer t\x01\x01"], &["Malformed"]),
        (OauthBearer, &["\x01"], &["Malformed"]),
        (
            Xoauth2,
            &["user=u@x.test\x01auth=Bearer t.-_~+/9\x01\x01", "?yes"],
            &["u@x.test: t.-_~+/9", "is /u@x.test"],
        ),
        (Xoauth2, &["user=u\x01auth=Bearer t\x01\x01", "?no", ""], &["u: t", &refused, "Credentials"]),
        (Xoauth2, &["user=u\x01auth=Bearer t t\x01\x01"], &["Malformed"]),
    ];
    for (mechanism, turns, expected) in cases {
        assert_eq!(play(mechanism, turns), expected, "{mechanism:?} {turns:?}");
    }
}

#[test]
fn the_example_of_rfc_7628_is_understood() {
    let line = b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
    let mut exchange = Exchange::begin(Mechanism::OauthBearer, channel(), [7; NONCE_OCTETS]);
    let step = exchange.start(Some(&line::decode_initial(line).unwrap()));
    let token = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    assert_eq!(step, Step::Ask(Question::Token { authzid: "user@example.com".into(), token }));
}

#[test]
fn what_a_channel_lacks_cannot_be_used() {
    for mechanism in [Mechanism::External, Mechanism::OauthBearer, Mechanism::ScramSha256Plus] {
        let mut exchange = Exchange::begin(mechanism, Channel::default(), [7; NONCE_OCTETS]);
        assert_eq!(exchange.start(Some(b"")), Step::Over(Err(Failure::Malformed)), "{mechanism:?}");
    }
}

#[test]
fn secrets_do_not_show() {
    for (mechanism, response) in
        [(Mechanism::Plain, "\0u\0s3cret"), (Mechanism::Xoauth2, "user=u\x01auth=Bearer s3cret\x01\x01")]
    {
        let mut exchange = Exchange::begin(mechanism, channel(), [7; NONCE_OCTETS]);
        let step = exchange.start(Some(response.as_bytes()));
        assert!(matches!(step, Step::Ask(_)));
        assert!(!format!("{step:?} {exchange:?}").contains("s3cret"));
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Response(Vec<u8>),
    Answer(Answer),
}

fn turn() -> impl Strategy<Value = Turn> {
    let words = prop::sample::select(vec![
        "",
        "u",
        "\0u\0p",
        "n,,n=u,r=x",
        "y,,n=u,r=x",
        "p=tls-exporter,,n=u,r=x",
        "c=biws,r=x,p=AA==",
        "\x01",
        "n,,\x01auth=Bearer t\x01\x01",
        "user=u\x01auth=Bearer t\x01\x01",
    ]);
    let answer = prop_oneof![
        Just(Answer::Refused),
        Just(Answer::Unavailable),
        Just(Answer::Verifier(scram::Verifier::decoy(b"secret", "u"))),
    ];
    prop_oneof![
        3 => words.prop_map(|words| Turn::Response(words.as_bytes().to_vec())),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Turn::Response),
        3 => answer.prop_map(Turn::Answer),
    ]
}

proptest! {
    #[test]
    fn nobody_gets_in_whom_no_answer_lets_in(
        mechanism in prop::sample::select(Mechanism::ALL.to_vec()),
        is_bound in any::<bool>(),
        initial in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        turns in prop::collection::vec(turn(), 0..8),
    ) {
        let binding = is_bound.then(|| bytes::Bytes::from_static(&[1; 32]));
        let mut exchange = Exchange::begin(mechanism, Channel { binding, ..channel() }, [7; NONCE_OCTETS]);
        let mut is_over = matches!(exchange.start(initial.as_deref()), Step::Over(_));
        for turn in turns {
            let step = match turn {
                Turn::Response(response) => exchange.respond(&response),
                Turn::Answer(answer) => exchange.answer(answer),
            };
            prop_assert!(!matches!(step, Step::Over(Ok(_))));
            // What is over stays over.
            prop_assert!(!is_over || matches!(step, Step::Over(Err(_))));
            is_over |= matches!(step, Step::Over(_));
        }
    }

    #[test]
    fn a_line_decodes_to_what_was_encoded_and_to_nothing_else(octets in prop::collection::vec(any::<u8>(), 0..100)) {
        let encoded = line::encode(&octets);
        prop_assert_eq!(line::decode(encoded.as_bytes()), Ok(octets.clone()));
        if let Ok(decoded) = line::decode(&octets) {
            prop_assert_eq!(line::encode(&decoded).into_bytes(), octets);
        }
    }
}
