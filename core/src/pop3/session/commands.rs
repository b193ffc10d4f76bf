//! What each command does (RFC 1939 §4 to §7, RFC 2595 §4), and in which state.

use super::state::{Asked, Authorization, Closing, Listing, Scan, State, Transaction};
use super::{LOGIN_FAILURES, Session, Step, replies};
use crate::model::line::Line;
use crate::pop3::content::Encoder;
use crate::pop3::syntax::{self, Command};
use crate::pop3::{Credentials, Denial, Maildrop};

impl Session {
    /// Executes a command line; gives the question that it raises. `is_last` where no octet behind it has come yet.
    pub(super) fn take_line(&mut self, line: Line, is_last: bool) -> Option<Step> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => return self.refuse(replies::long_command_line()),
            Line::BareLf => return self.refuse(replies::bare_lf()),
        };
        match syntax::command(&line) {
            Ok(Command::Capa) => {
                let allows_stls = self.offers_tls && matches!(self.state, State::Authorization(_));
                let (reply, lines) = replies::capabilities(self.allows_password, allows_stls);
                self.reply(reply);
                self.output.extend_from_slice(lines.as_bytes());
                None
            }
            Ok(Command::Stls) => self.start_tls(is_last),
            Ok(command) => match self.take_state() {
                State::Authorization(authorization) => self.authorize(authorization, command),
                State::Transaction(transaction) => self.transact(transaction, command),
                state => {
                    self.state = state;
                    None
                }
            },
            Err(error) => self.refuse(replies::not_a_command(error)),
        }
    }

    /// What came behind the command in the clear must not be taken for what its client says under encryption, nor may it be dropped in
    /// silence: whoever put it there would see that nobody noticed.
    fn start_tls(&mut self, is_last: bool) -> Option<Step> {
        match self.take_state() {
            State::Authorization(authorization) if self.offers_tls && is_last => {
                self.reply(replies::begin_tls());
                self.state = State::Asked(Asked::StartTls(authorization));
                Some(Step::StartTls)
            }
            State::Authorization(_) if self.offers_tls => {
                self.state = State::Closed(Closing::OctetsBehindStls);
                self.refuse(replies::octets_behind_stls())
            }
            state => {
                let is_logged_in = matches!(state, State::Transaction(_));
                self.state = state;
                self.refuse(if is_logged_in { replies::logged_in_already() } else { replies::no_tls() })
            }
        }
    }

    fn authorize(&mut self, authorization: Authorization, command: Command<'_>) -> Option<Step> {
        let Authorization { name, failures } = authorization;
        let (name, reply) = match (command, name) {
            (Command::User(_), name) if !self.allows_password => (name, replies::no_plaintext()),
            (Command::User(name), _) => (Some(name.to_owned()), replies::send_password()),
            (Command::Pass(password), Some(name)) => {
                let password = password.to_owned();
                self.state = State::Asked(Asked::LogIn(Authorization { name: None, failures }));
                return Some(Step::LogIn(Credentials { name, password }));
            }
            (Command::Pass(_), None) => (None, replies::user_first()),
            (Command::Quit, _) => {
                self.reply(replies::bye(&self.hostname));
                self.close(Closing::Quit);
                return None;
            }
            (_, name) => (name, replies::log_in_first()),
        };
        self.state = State::Authorization(Authorization { name, failures });
        self.reply(reply);
        None
    }

    /// Goes on after a login was decided on.
    pub(super) fn end_log_in(&mut self, authorization: Authorization, answer: Result<Maildrop, Denial>) {
        match answer {
            Ok(maildrop) => {
                let transaction = Transaction::new(maildrop);
                let reply = replies::maildrop(transaction.count(), transaction.octets());
                self.state = State::Transaction(transaction);
                self.reply(reply);
            }
            Err(denial) => {
                let failures = authorization.failures + usize::from(denial == Denial::Credentials);
                self.state = State::Authorization(Authorization { failures, ..authorization });
                self.reply(replies::denied(denial));
                if failures == LOGIN_FAILURES {
                    self.close(Closing::TooManyLogins);
                }
            }
        }
    }

    fn transact(&mut self, mut transaction: Transaction, command: Command<'_>) -> Option<Step> {
        let reply = match command {
            Command::Stat => replies::drop_listing(transaction.count(), transaction.octets()),
            Command::List(None) => return self.list(transaction, Scan::Octets),
            Command::Uidl(None) => return self.list(transaction, Scan::UniqueId),
            Command::List(Some(number)) => Self::list_one(&transaction, Scan::Octets, number),
            Command::Uidl(Some(number)) => Self::list_one(&transaction, Scan::UniqueId, number),
            Command::Retr(number) => return self.open(transaction, number, Encoder::new(None)),
            Command::Top(number, lines) => return self.open(transaction, number, Encoder::new(Some(lines))),
            Command::Dele(number) => match transaction.find(number) {
                Ok((place, entry)) => {
                    transaction.delete(place, &entry);
                    replies::deleted(number)
                }
                Err(reply) => reply,
            },
            Command::Noop => replies::done(),
            Command::Rset => {
                transaction = transaction.reset();
                replies::maildrop(transaction.count(), transaction.octets())
            }
            Command::Quit => return self.update(transaction),
            // CAPA and STLS are executed before they come here.
            Command::User(_) | Command::Pass(_) | Command::Capa | Command::Stls => {
                replies::logged_in_already()
            }
        };
        self.state = State::Transaction(transaction);
        self.reply(reply);
        None
    }

    fn list(&mut self, transaction: Transaction, kind: Scan) -> Option<Step> {
        let reply = match kind {
            Scan::Octets => replies::maildrop(transaction.count(), transaction.octets()),
            Scan::UniqueId => replies::unique_ids_follow(),
        };
        self.state = State::Listing(transaction, Listing { kind, next: 0 });
        self.reply(reply);
        None
    }

    fn list_one(transaction: &Transaction, kind: Scan, number: u64) -> replies::Reply {
        let found = transaction.find(number);
        found.map_or_else(
            |reply| reply,
            |(place, entry)| replies::listing(transaction.describe(kind, place, &entry)),
        )
    }

    fn open(&mut self, transaction: Transaction, number: u64, encoder: Encoder) -> Option<Step> {
        match transaction.find(number) {
            Ok((_, entry)) => {
                self.state = State::Asked(Asked::Open(transaction, entry, encoder));
                Some(Step::Open(entry.uid))
            }
            Err(reply) => {
                self.state = State::Transaction(transaction);
                self.refuse(reply)
            }
        }
    }

    /// RFC 1939 §6: the only way to what DELE asked for.
    fn update(&mut self, transaction: Transaction) -> Option<Step> {
        let uids = transaction.into_deleted();
        self.state = State::Update;
        if uids.is_empty() {
            self.answer_expunge(Ok(()));
            return None;
        }
        Some(Step::Expunge(uids))
    }

    fn refuse(&mut self, reply: replies::Reply) -> Option<Step> {
        self.reply(reply);
        None
    }
}
