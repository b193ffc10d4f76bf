//! What each command does (RFC 5321 §4.1.1), and when it is in order (RFC 5321 §4.1.4).

use super::state::{Asked, Client, State, Transaction};
use super::{Closing, Session, Step, replies};
use crate::model::line::Line;
use crate::model::{ForwardPath, Reply, ReversePath};
use crate::smtp::Mail;
use crate::smtp::syntax::{self, Command, MailParameters, SyntaxError};

impl Session {
    pub(super) fn take_line(&mut self, line: Line) {
        self.fruitless += 1;
        if self.fruitless > self.limits.fruitless_commands {
            self.reply(replies::too_many_commands(&self.hostname));
            return self.close(Closing::TooManyCommands);
        }
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => return self.reply(replies::long_command_line()),
            Line::BareLf => return self.reply(replies::bare_lf_after_command()),
        };
        match syntax::command(&line) {
            Ok(command) => self.execute(command),
            Err(SyntaxError::Http) if matches!(self.state, State::Ungreeted) => {
                self.reply(replies::not_http(&self.hostname));
                self.close(Closing::NotSmtp);
            }
            Err(error) => self.reply(replies::not_a_command(&error)),
        }
    }

    fn execute(&mut self, command: Command<'_>) {
        match command {
            Command::Helo(name) => {
                self.greet(Client { name: name.to_owned(), esmtp: false });
                self.reply(replies::helo(&self.hostname));
            }
            Command::Ehlo(name) => {
                self.greet(Client { name: name.to_owned(), esmtp: true });
                self.reply(replies::ehlo(&self.hostname, self.limits.message_size));
            }
            Command::Mail(reverse_path, parameters) => self.mail(reverse_path, &parameters),
            Command::Rcpt(forward_path) => self.rcpt(forward_path),
            Command::Data => self.data(),
            Command::Rset => {
                self.drop_transaction();
                self.reply(replies::done());
            }
            Command::Noop => self.reply(replies::done()),
            Command::Vrfy => self.reply(replies::not_verified()),
            Command::Help => self.reply(replies::help()),
            Command::Quit => {
                self.reply(replies::bye(&self.hostname));
                self.close(Closing::Quit);
            }
        }
    }

    /// HELO or EHLO amid a transaction drops it as RSET does (RFC 5321 §4.1.4).
    fn greet(&mut self, client: Client) {
        self.drop_transaction();
        self.state = State::Ready(client);
    }

    /// Where there is none, nothing changes.
    fn drop_transaction(&mut self) {
        self.state = match self.take_state() {
            State::Transaction(transaction) => {
                self.steps.push_back(Step::Reset);
                State::Ready(transaction.client)
            }
            state => state,
        };
    }

    /// RFC 5321 §4.1.1.2.
    fn mail(&mut self, reverse_path: ReversePath, parameters: &MailParameters) {
        match self.take_state() {
            State::Ready(client) => {
                if parameters.size.is_some_and(|size| size > self.limits.message_size) {
                    self.state = State::Ready(client);
                    return self.reply(replies::declared_too_big(self.limits.message_size));
                }
                self.steps.push_back(Step::Mail(Mail {
                    reverse_path,
                    declared_size: parameters.size,
                    body: parameters.body.unwrap_or_default(),
                    greeting: client.name.clone(),
                    esmtp: client.esmtp,
                }));
                self.state = State::Asked(Asked::Mail(client));
            }
            state => {
                let is_greeted = !matches!(state, State::Ungreeted);
                self.state = state;
                self.reply(if is_greeted { replies::nested_mail() } else { replies::greet_first() });
            }
        }
    }

    /// RFC 5321 §4.1.1.3.
    fn rcpt(&mut self, forward_path: ForwardPath) {
        match self.take_state() {
            State::Transaction(transaction) if transaction.recipients >= self.limits.recipients => {
                self.refuse_recipient(transaction, forward_path, replies::too_many_recipients());
            }
            State::Transaction(transaction) => {
                self.steps.push_back(Step::Recipient(forward_path.clone()));
                self.state = State::Asked(Asked::Recipient(transaction, forward_path));
            }
            state => self.refuse_out_of_order(state),
        }
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self) {
        match self.take_state() {
            State::Transaction(transaction) if transaction.recipients > 0 => {
                self.steps.push_back(Step::Data);
                self.state = State::Asked(Asked::Data(transaction));
            }
            State::Transaction(transaction) => {
                let has_refused = transaction.has_refused;
                self.state = State::Transaction(transaction);
                self.reply(if has_refused { replies::no_valid_recipients() } else { replies::rcpt_first() });
            }
            state => self.refuse_out_of_order(state),
        }
    }

    /// RCPT or DATA without a transaction.
    fn refuse_out_of_order(&mut self, state: State) {
        let is_greeted = !matches!(state, State::Ungreeted);
        self.state = state;
        self.reply(if is_greeted { replies::mail_first() } else { replies::greet_first() });
    }

    pub(super) fn refuse_recipient(
        &mut self,
        transaction: Transaction,
        forward_path: ForwardPath,
        reply: Reply,
    ) {
        self.state = State::Transaction(Transaction { has_refused: true, ..transaction });
        self.reply_about(Some(forward_path), reply);
    }
}
