//! SASL.

use bytes::Bytes;
use fulmar_core::model::Address;
use fulmar_core::sasl::scram::Verifier;
use fulmar_core::sasl::{Answer, Channel, Exchange, Mechanism, NONCE_OCTETS, Proof, Question, Step, line};

/// What ends a turn.
const TURN_END: u8 = 0xff;
/// Flags above the mechanism: PLUS can be had, the client has shown a certificate, tokens are taken, there is an initial response.
const IS_BOUND: u8 = 8;
const HAS_CERTIFICATE: u8 = 16;
const TAKES_TOKENS: u8 = 32;
const HAS_INITIAL: u8 = 64;

/// An exchange of any mechanism. The first octet has the mechanism and the flags; then come turns, each an octet that says what is answered if
/// something has been asked, and what the client says. Nobody gets in whom no answer lets in, and as nobody else than was asked about; nobody
/// proves a password that nobody has; and what is over stays over.
pub fn sasl(octets: &[u8]) {
    check_line(octets);
    let Some((&flags, rest)) = octets.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(flags & 7) % Mechanism::ALL.len()];
    let channel = Channel {
        binding: (flags & IS_BOUND != 0).then(|| Bytes::from_static(&[1; 32])),
        certificate: (flags & HAS_CERTIFICATE != 0).then(|| Address::parse("u@x.test").into_iter().collect()),
        takes_tokens: flags & TAKES_TOKENS != 0,
    };
    let is_had = mechanism.is_had_over(&channel);
    let mut exchange = Exchange::begin(mechanism, channel, [7; NONCE_OCTETS]);
    let mut turns = rest.split(|octet| *octet == TURN_END);
    let initial = if flags & HAS_INITIAL == 0 { None } else { turns.next() };
    let mut step = exchange.start(initial);
    assert!(is_had || !matches!(step, Step::Ask(_)), "asks for what cannot be had");
    for turn in turns {
        let (choice, response) =
            turn.split_first().map_or((0, turn), |(choice, response)| (*choice, response));
        let next = match &step {
            // An answer where nothing was asked.
            Step::Challenge(_) | Step::Over(_) if choice == b'?' => exchange.answer(Answer::Granted),
            Step::Challenge(_) | Step::Over(_) => exchange.respond(response),
            // A response where an answer is owed.
            Step::Ask(_) if choice == b'!' => exchange.respond(response),
            Step::Ask(question) => exchange.answer(answer(choice, question)),
        };
        check(mechanism, &step, choice, &next);
        step = next;
    }
}

fn answer(choice: u8, question: &Question) -> Answer {
    match (choice, question) {
        (b'-', _) => Answer::Refused,
        (b'~', _) => Answer::Unavailable,
        (b'?', Question::ScramVerifier { .. }) => Answer::Granted,
        (_, Question::ScramVerifier { authcid, .. }) => Answer::Verifier(Verifier::decoy(b"secret", authcid)),
        (b'v', _) => Answer::Verifier(Verifier::decoy(b"secret", "u")),
        _ => Answer::Granted,
    }
}

/// What may come of a turn.
fn check(mechanism: Mechanism, before: &Step, choice: u8, after: &Step) {
    if matches!(before, Step::Over(_)) {
        assert!(matches!(after, Step::Over(Err(_))), "{mechanism:?} goes on: {after:?}");
    }
    match after {
        Step::Over(Ok(proof)) => {
            let is_granted = !matches!(choice, b'-' | b'~' | b'!' | b'v');
            assert!(is_granted, "{mechanism:?}: in without being let in");
            let asked = match before {
                Step::Ask(Question::Password { authcid, authzid, .. }) => {
                    (authcid.as_str(), authzid.as_str())
                }
                Step::Ask(Question::Token { authzid, .. } | Question::Certificate { authzid, .. }) => {
                    ("", authzid.as_str())
                }
                before => panic!("{mechanism:?}: in after {before:?}"),
            };
            let Proof { authcid, authzid } = proof;
            assert_eq!((authcid.as_str(), authzid.as_str()), asked, "{mechanism:?}: in as another");
        }
        Step::Ask(Question::Proved) => panic!("a proof for a password that nobody has"),
        Step::Ask(Question::Password { authcid, authzid, password }) => {
            assert!(!authcid.is_empty() && !password.expose().is_empty());
            assert!(![authcid, authzid].into_iter().any(|name| name.contains('\0')));
        }
        Step::Ask(Question::ScramVerifier { authcid, authzid }) => {
            assert!(!authcid.is_empty() && !authcid.contains('\0') && !authzid.contains('\0'));
        }
        Step::Ask(Question::Certificate { addresses, .. }) => assert!(!addresses.is_empty()),
        // A challenge goes out as one line of base64, which the other side must be able to read.
        Step::Challenge(challenge) => {
            let line = line::encode(challenge);
            assert!(line.len() <= line::LINE_LIMIT);
            assert_eq!(line::decode(line.as_bytes()).as_ref(), Ok(challenge));
        }
        Step::Ask(Question::Token { .. }) | Step::Over(Err(_)) => {}
    }
}

/// No two lines stand for the same response.
fn check_line(octets: &[u8]) {
    assert_eq!(line::decode(line::encode(octets).as_bytes()).as_deref(), Ok(octets));
    if let Ok(decoded) = line::decode(octets) {
        assert_eq!(line::encode(&decoded).as_bytes(), octets);
    }
}
