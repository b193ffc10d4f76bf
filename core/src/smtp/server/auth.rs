//! STARTTLS (RFC 3207 §4) and AUTH (RFC 4954 §4). What a mechanism says is the driver's affair; here it is in order and in base64.

use super::state::{Asked, State};
use super::{Offers, Session, Step, replies};
use crate::model::Reply;
use crate::model::line::Line;
use crate::sasl::{Failure, line};

impl Session {
    /// Offers this from now on.
    pub(super) fn offer(&mut self, offers: Offers) {
        let auth_line = if offers.mechanisms.is_empty() { 0 } else { line::LINE_LIMIT };
        self.line.set_limit(self.limits.command_line.max(auth_line));
        self.offers = offers;
    }

    /// RFC 3207 §4: after EHLO, and not amid a transaction.
    pub(super) fn start_tls(&mut self) {
        let refusal = match self.take_state() {
            state if self.offers.is_encrypted => (state, replies::encrypted_already()),
            state if !self.offers.starttls => (state, replies::no_tls()),
            State::Ready(client) => {
                self.steps.push_back(Step::Tls);
                return self.state = State::Asked(Asked::Tls(client));
            }
            State::Ungreeted => (State::Ungreeted, replies::greet_first(self.service)),
            state => (state, replies::nested_mail()),
        };
        self.state = refusal.0;
        self.reply(refusal.1);
    }

    /// RFC 4954 §4.
    pub(super) fn auth(&mut self, mechanism: String, initial: Option<&str>) {
        let is_offered = self.offers.mechanisms.contains(&mechanism.as_str());
        let refusal = match self.take_state() {
            state if self.is_known => (state, replies::known_already()),
            state if self.offers.mechanisms.is_empty() && self.offers.starttls => {
                (state, replies::needs_tls_for_auth())
            }
            state if self.offers.mechanisms.is_empty() => (state, replies::no_auth()),
            state if !is_offered => (state, replies::no_such_mechanism()),
            State::Ready(client) => match initial.map(|text| line::decode_initial(text.as_bytes()).ok()) {
                Some(None) => (State::Ready(client), replies::not_base64()),
                initial => {
                    self.steps.push_back(Step::Auth(mechanism, initial.flatten()));
                    return self.state = State::Asked(Asked::Auth(client));
                }
            },
            State::Ungreeted => (State::Ungreeted, replies::greet_first(self.service)),
            state => (state, replies::nested_mail()),
        };
        self.state = refusal.0;
        self.reply(refusal.1);
    }

    /// Answers [`Step::Auth`] or [`Step::AuthResponse`] with a challenge.
    pub fn challenge(&mut self, challenge: &[u8]) {
        match self.take_state() {
            State::Asked(Asked::Auth(client)) => {
                self.state = State::Authenticating(client);
                // Not a reply of text: a challenge may be longer than a reply line (RFC 4954 §4).
                self.output.extend_from_slice(format!("334 {}\r\n", line::encode(challenge)).as_bytes());
            }
            state => self.state = state,
        }
    }

    /// Answers [`Step::Auth`] or [`Step::AuthResponse`] with the end: the client is known, and this is offered now; or it is not.
    pub fn authenticate(&mut self, outcome: Result<Offers, Reply>) {
        match self.take_state() {
            State::Asked(Asked::Auth(client)) => {
                self.state = State::Ready(client);
                match outcome {
                    Ok(offers) => {
                        self.is_known = true;
                        self.offer(offers);
                        self.reply(replies::known());
                    }
                    Err(reply) => self.reply(reply),
                }
            }
            state => self.state = state,
        }
    }

    /// A line that should be a response in base64, or `*` (RFC 4954 §4).
    pub(super) fn take_response(&mut self, line: Line) {
        let State::Authenticating(client) = self.take_state() else { return };
        let response = match line {
            Line::Whole(line) => line::decode(&line).map_err(|failure| match failure {
                Failure::Cancelled => replies::cancelled(),
                _ => replies::not_base64(),
            }),
            Line::TooLong => Err(replies::long_response()),
            Line::BareLf => Err(replies::bare_lf_after_command()),
        };
        match response {
            Ok(response) => {
                self.steps.push_back(Step::AuthResponse(response));
                self.state = State::Asked(Asked::Auth(client));
            }
            Err(reply) => {
                self.steps.push_back(Step::AuthCancelled);
                self.state = State::Ready(client);
                self.reply(reply);
            }
        }
    }
}
