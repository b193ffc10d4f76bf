//! One exchange, from the mechanism's name to its end.

use std::fmt;
use std::mem;

use bytes::Bytes;

use super::scram::{self, Verifier};
use super::{Mechanism, Secret, bearer, plain};
use crate::model::Address;

/// Octets of entropy that an exchange takes; SCRAM makes its nonce of them.
pub const NONCE_OCTETS: usize = 18;

/// What is known of the connection that an exchange goes over.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// What SCRAM with PLUS binds to: the octets that TLS exports under `EXPORTER-Channel-Binding` (RFC 9266 §4.2). Where there are
    /// some, PLUS is announced.
    pub binding: Option<Bytes>,
    /// The addresses that the client's certificate names (RFC 5280 §4.2.1.6, `rfc822Name`), where it has shown one that was verified.
    pub certificate: Option<Vec<Address>>,
    /// Whether somebody is there who can say what a token is worth.
    pub takes_tokens: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, in base64, and hand the client's response to [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Find out, and tell [`Exchange::answer`].
    Ask(Question),
    /// The exchange is over: the client is who it says it is, or not.
    Over(Result<Proof, Failure>),
}

/// What has to be known to go on. An empty `authzid` is none: the client wants to be whom it logs in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this the password? [`Answer::Granted`], [`Answer::Refused`] or [`Answer::Unavailable`].
    Password {
        /// Whose.
        authcid: String,
        /// As whom the client wants to act.
        authzid: String,
        /// Not prepared.
        password: Secret,
    },
    /// What is the verifier of this name's password? [`Answer::Verifier`], a decoy where there is none, or [`Answer::Unavailable`]. Where
    /// the client's proof is right, [`Question::Proved`] follows.
    ScramVerifier {
        /// Whose.
        authcid: String,
        /// As whom the client wants to act.
        authzid: String,
    },
    /// May the client, which has proved to know the password, learn that it did? As for a password.
    Proved,
    /// Is this token good, and for whom? As for a password. Whose it is stands in the token.
    Token {
        /// As whom the client wants to act.
        authzid: String,
        /// As the client sent it.
        token: Secret,
    },
    /// May the owner of the certificate log in? As for a password.
    Certificate {
        /// Of [`Channel::certificate`].
        addresses: Vec<Address>,
        /// As whom the client wants to act.
        authzid: String,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// This verifier.
    Verifier(Verifier),
    /// Nobody can say so now.
    Unavailable,
}

/// Whom a client has proved to be, and as whom it wants to act. Both are empty where the answer alone knows: tokens, certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The name that it logs in with.
    pub authcid: String,
    /// The name that it wants to act under; empty for the same.
    pub authzid: String,
}

/// Why an exchange failed. What SMTP says to it stands behind (RFC 4954 §4, §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What the client sent is not of the form that the mechanism gives: `501 5.5.2`.
    #[error("malformed response")]
    Malformed,
    /// A line is longer than [`super::line::LINE_LIMIT`]: `500 5.5.6`.
    #[error("response too long")]
    TooLong,
    /// The client gave up: `501 5.7.0`.
    #[error("cancelled")]
    Cancelled,
    /// The name or the proof is wrong, and which of them is not told: `535 5.7.8`.
    #[error("authentication credentials invalid")]
    Credentials,
    /// Somebody between the client and us hides that we can bind to the channel (RFC 5802 §6): `535 5.7.8`.
    #[error("the mechanisms that were announced have been tampered with")]
    Downgraded,
    /// Nothing is known against the client: `454 4.7.0`.
    #[error("temporary authentication failure")]
    Unavailable,
}

/// One exchange.
pub struct Exchange {
    mechanism: Mechanism,
    channel: Channel,
    nonce: [u8; NONCE_OCTETS],
    state: State,
}

enum State {
    /// Waits for the first response of a mechanism in which the client speaks first.
    First,
    LoginName,
    LoginPassword {
        authcid: String,
    },
    /// Waits for an answer to a question that leaves nothing to be said.
    Asked(Proof),
    AskedVerifier(scram::First),
    Challenged(scram::Challenged),
    /// Waits for leave to send our proof.
    AskedProved(Proof, Vec<u8>),
    /// Our proof is on its way; there is nothing left that the client could say.
    Proved(Proof),
    /// Why the token is worth nothing is on its way; the client has to say something (RFC 7628 §3.2.3).
    TokenRefused,
    Over,
}

impl Exchange {
    /// An exchange that has just been asked for. The nonce is fresh entropy, used for nothing else.
    pub fn begin(mechanism: Mechanism, channel: Channel, nonce: [u8; NONCE_OCTETS]) -> Self {
        let state = if mechanism == Mechanism::Login { State::LoginName } else { State::First };
        Self { mechanism, channel, nonce, state }
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The first step. `initial` is what stood behind the mechanism's name, decoded; none is not the same as an empty one.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        match (initial, &self.state) {
            (Some(initial), _) => self.respond(initial),
            (None, State::LoginName) => Step::Challenge(plain::USERNAME.to_vec()),
            // RFC 4422 §3.3: the client speaks first, so it is asked to.
            (None, _) => Step::Challenge(Vec::new()),
        }
    }

    /// Goes on with the client's response to the last challenge, decoded.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        match mem::replace(&mut self.state, State::Over) {
            State::First => self.take_first(response).unwrap_or_else(|failure| self.fail(failure)),
            State::LoginName => match plain::name(response) {
                Ok(authcid) => {
                    self.state = State::LoginPassword { authcid };
                    Step::Challenge(plain::PASSWORD.to_vec())
                }
                Err(failure) => self.fail(failure),
            },
            State::LoginPassword { authcid } => match plain::question(authcid, String::new(), response) {
                Ok(question) => self.ask(question),
                Err(failure) => self.fail(failure),
            },
            State::Challenged(challenged) => match challenged.conclude(response) {
                Ok((proof, signature)) => {
                    self.state = State::AskedProved(proof, signature);
                    Step::Ask(Question::Proved)
                }
                Err(failure) => self.fail(failure),
            },
            State::Proved(proof) if response.is_empty() => Step::Over(Ok(proof)),
            State::Proved(_) => self.fail(Failure::Malformed),
            State::TokenRefused => self.fail(Failure::Credentials),
            // Nobody has asked the client for anything.
            State::Asked(_) | State::AskedVerifier(_) | State::AskedProved(..) | State::Over => {
                self.fail(Failure::Malformed)
            }
        }
    }

    /// Goes on with the answer to the last question.
    pub fn answer(&mut self, answer: Answer) -> Step {
        match (mem::replace(&mut self.state, State::Over), answer) {
            (State::Asked(proof), Answer::Granted) => Step::Over(Ok(proof)),
            (State::Asked(_), Answer::Refused) if self.carries_token() => {
                self.state = State::TokenRefused;
                Step::Challenge(bearer::REFUSED.to_vec())
            }
            (State::AskedVerifier(first), Answer::Verifier(verifier)) => {
                let (challenged, challenge) = first.challenge(verifier);
                self.state = State::Challenged(challenged);
                Step::Challenge(challenge)
            }
            (State::AskedProved(proof, signature), Answer::Granted) => {
                self.state = State::Proved(proof);
                Step::Challenge(signature)
            }
            (State::Asked(_) | State::AskedVerifier(_) | State::AskedProved(..), Answer::Refused) => {
                self.fail(Failure::Credentials)
            }
            // An answer to nothing, or to another question, is no reason to let anybody in.
            _ => self.fail(Failure::Unavailable),
        }
    }

    fn take_first(&mut self, response: &[u8]) -> Result<Step, Failure> {
        if !self.mechanism.is_had_over(&self.channel) {
            return Err(Failure::Malformed);
        }
        let question = match self.mechanism {
            Mechanism::Plain => plain::message(response)?,
            Mechanism::OauthBearer => bearer::oauthbearer(response)?,
            Mechanism::Xoauth2 => bearer::xoauth2(response)?,
            Mechanism::External => {
                let authzid = if response.is_empty() { String::new() } else { plain::name(response)? };
                Question::Certificate {
                    addresses: self.channel.certificate.clone().unwrap_or_default(),
                    authzid,
                }
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let is_plus = self.mechanism == Mechanism::ScramSha256Plus;
                let first = scram::First::read(response, self.channel.binding.as_ref(), is_plus, self.nonce)?;
                let (authcid, authzid) = (first.authcid.clone(), first.authzid.clone());
                self.state = State::AskedVerifier(first);
                return Ok(Step::Ask(Question::ScramVerifier { authcid, authzid }));
            }
            // It begins with its name.
            Mechanism::Login => return Err(Failure::Malformed),
        };
        Ok(self.ask(question))
    }

    fn ask(&mut self, question: Question) -> Step {
        let (authcid, authzid) = match &question {
            Question::Password { authcid, authzid, .. } | Question::ScramVerifier { authcid, authzid } => {
                (authcid.clone(), authzid.clone())
            }
            Question::Token { authzid, .. } | Question::Certificate { authzid, .. } => {
                (String::new(), authzid.clone())
            }
            Question::Proved => Default::default(),
        };
        self.state = State::Asked(Proof { authcid, authzid });
        Step::Ask(question)
    }

    fn carries_token(&self) -> bool {
        matches!(self.mechanism, Mechanism::OauthBearer | Mechanism::Xoauth2)
    }

    fn fail(&mut self, failure: Failure) -> Step {
        self.state = State::Over;
        Step::Over(Err(failure))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}
