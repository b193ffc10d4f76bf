//! Our client against our server, in memory.

use proptest::prelude::*;

use super::super::{Closing, RecipientOutcome, Session, Step};
use super::{envelope, recipients, session};
use crate::config::SmtpLimits;
use crate::model::{BodyType, Domain, Reply};
use crate::smtp::server::{Session as Server, Step as ServerStep};

/// Two sessions and the octets between them.
struct Pair {
    client: Session,
    server: Server,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// What the server offers, as it is to reach the client.
    offers_pipelining: bool,
    /// Each message that the server has taken: its recipients and its content.
    taken: Vec<(Vec<String>, Vec<u8>)>,
    open: (Vec<String>, Vec<u8>),
}

impl Pair {
    fn new(offers_pipelining: bool) -> Self {
        let limits = SmtpLimits { errors: 10_000, ..SmtpLimits::default() };
        Self {
            client: session(),
            server: Server::new(Domain::parse("mx.test").unwrap(), limits),
            to_server: Vec::new(),
            to_client: Vec::new(),
            offers_pipelining,
            taken: Vec::new(),
            open: Default::default(),
        }
    }

    /// Goes on until the client wants something that the server cannot give.
    fn next(&mut self) -> Step {
        loop {
            let mut input = &self.to_client[..];
            let step = self.client.advance(&mut input);
            self.to_client = input.to_vec();
            self.to_server.extend(self.client.take_output());
            if step != Step::Idle {
                return step;
            }
            self.serve();
        }
    }

    /// The server takes all that was sent. Recipients `no...` are refused.
    fn serve(&mut self) {
        let sent = std::mem::take(&mut self.to_server);
        let mut input = &sent[..];
        loop {
            match self.server.advance(&mut input) {
                ServerStep::Idle if input.is_empty() => break,
                ServerStep::Idle | ServerStep::Send | ServerStep::Refused { .. } => {}
                ServerStep::Hello(_) | ServerStep::Mail(_) | ServerStep::Data => self.server.answer(Ok(())),
                ServerStep::Recipient(forward_path, _) => {
                    let forward_path = forward_path.to_string();
                    if forward_path.starts_with("no") {
                        self.server.answer(Err(Reply::new(550, (5, 1, 1), "no such user")));
                    } else {
                        self.open.0.push(forward_path);
                        self.server.answer(Ok(()));
                    }
                }
                ServerStep::Content(octets) => self.open.1.extend_from_slice(octets),
                ServerStep::EndOfContent => {
                    self.taken.push(std::mem::take(&mut self.open));
                    self.server.conclude(Reply::new(250, (2, 0, 0), "ID queued"));
                }
                ServerStep::Reset => self.open = Default::default(),
                ServerStep::Closed(_) => break,
                other => panic!("nothing of this is offered: {other:?}"),
            }
        }
        let replies = String::from_utf8(self.server.take_output()).unwrap();
        let shown = if self.offers_pipelining { "PIPELINING" } else { "X-NOTHING" };
        self.to_client.extend(replies.replace("PIPELINING", shown).into_bytes());
    }

    /// Sends one message in pieces, and gives what became of each recipient.
    fn send(
        &mut self,
        forward_paths: &[String],
        content: &[u8],
        piece: usize,
    ) -> Vec<(usize, RecipientOutcome)> {
        assert_eq!(self.next(), Step::Ready);
        let mut envelope = envelope(forward_paths);
        envelope.options.body = BodyType::EightBitMime;
        self.client.begin(envelope).unwrap();
        let mut pieces = content.chunks(piece);
        let mut outcomes = Vec::new();
        loop {
            match self.next() {
                Step::NeedContent => match pieces.next() {
                    Some(piece) => self.client.content(piece),
                    None => self.client.end_content(),
                },
                Step::Settled { recipients, outcome } => {
                    outcomes.extend(recipients.into_iter().map(|recipient| (recipient, outcome.clone())));
                }
                Step::Ready => break,
                step => panic!("{step:?}"),
            }
        }
        outcomes.sort_by_key(|(recipient, _)| *recipient);
        outcomes
    }
}

/// Lines of any octets but CR and LF, the last one perhaps without its end.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![3 => Just(b'.'), 5 => any::<u8>()]
        .prop_filter("a line end", |octet| !matches!(octet, b'\r' | b'\n'));
    prop::collection::vec(prop::collection::vec(octet, 0..60), 0..30)
        .prop_map(|lines| lines.join(&b"\r\n"[..]))
}

proptest! {
    #[test]
    fn what_the_client_sends_the_server_gets(
        messages in prop::collection::vec((content(), prop::collection::vec(any::<bool>(), 1..200)), 1..4),
        piece in 1usize..500,
        offers_pipelining in any::<bool>(),
    ) {
        let mut pair = Pair::new(offers_pipelining);
        for (content, accepts) in &messages {
            let mut forward_paths = recipients(accepts.len());
            for (forward_path, _) in forward_paths.iter_mut().zip(accepts).filter(|(_, accept)| !**accept) {
                forward_path.insert_str(0, "no");
            }
            let outcomes = pair.send(&forward_paths, content, piece);
            prop_assert_eq!(outcomes.len(), accepts.len());
            for ((at, (recipient, outcome)), accept) in outcomes.into_iter().enumerate().zip(accepts) {
                prop_assert_eq!(at, recipient);
                let RecipientOutcome::Replied { reply, .. } = outcome else { panic!("{outcome:?}") };
                prop_assert_eq!(reply.code, if *accept { 250 } else { 550 });
            }
            let accepted: Vec<String> = forward_paths.into_iter().filter(|path| !path.starts_with("no")).collect();
            let mut whole = content.clone();
            if !content.is_empty() && !content.ends_with(b"\r\n") {
                whole.extend_from_slice(b"\r\n");
            }
            let expected = (!accepted.is_empty()).then_some((accepted, whole));
            prop_assert_eq!(pair.taken.pop(), expected);
        }
        pair.client.quit();
        prop_assert_eq!(pair.next(), Step::Closed(Closing::Quit));
    }
}
