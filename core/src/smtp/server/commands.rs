//! What each command does (RFC 5321 §4.1.1), and when it is in order (RFC 5321 §4.1.4).

use super::state::{Asked, Client, Size, State, Transaction};
use super::{Closing, Query, Service, Session, Step, offers, replies};
use crate::model::line::Line;
use crate::model::{BodyType, ForwardPath, RecipientOptions, Reply, ReversePath};
use crate::smtp::syntax::{self, Attribute, Command, MailParameters, RcptParameters, SyntaxError};
use crate::smtp::{Hello, Mail};

impl Session {
    pub(super) fn take_line(&mut self, line: Line) {
        if matches!(self.state, State::Authenticating(_)) {
            return self.take_response(line);
        }
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
        // More octets are read only for the sake of what AUTH may carry.
        let is_long = line.len() + b"\r\n".len() > self.limits.command_line;
        match syntax::command(&line) {
            Ok(command) if is_long && !matches!(command, Command::Auth { .. }) => {
                self.reply(replies::long_command_line());
            }
            Ok(command) => self.execute(command),
            Err(SyntaxError::Http) if matches!(self.state, State::Ungreeted) => {
                self.reply(replies::not_http(&self.hostname));
                self.close(Closing::NotSmtp);
            }
            Err(error) => {
                self.reply(replies::not_a_command(&error));
                if line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT")) {
                    // Content follows, and nobody knows how much: none of it may be taken for commands.
                    self.reply(replies::bad_chunk(&self.hostname));
                    self.close(Closing::BadChunk);
                }
            }
        }
    }

    fn execute(&mut self, command: Command<'_>) {
        match command {
            Command::Helo(name) => self.greet(Hello::Helo, name),
            Command::Ehlo(name) => self.greet(Hello::Ehlo, name),
            Command::Lhlo(name) => self.greet(Hello::Lhlo, name),
            Command::Mail(reverse_path, parameters) => self.mail(reverse_path, parameters),
            Command::Rcpt(forward_path, parameters) => self.rcpt(forward_path, parameters),
            Command::Data => self.data(),
            Command::Bdat { octets, is_last } => self.bdat(Size { octets, is_last }),
            Command::Rset => {
                self.drop_transaction();
                self.reply(replies::done());
            }
            Command::Noop => self.reply(replies::done()),
            Command::Help => self.reply(replies::help(self.service)),
            Command::Vrfy(question) => self.query(Query::Vrfy(question.text.to_owned(), question.smtputf8)),
            Command::Expn(question) if self.offers.expn => {
                self.query(Query::Expn(question.text.to_owned(), question.smtputf8));
            }
            Command::Etrn(node) if self.offers.etrn && self.service == Service::Transfer => self.etrn(node),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Xclient(attributes) if self.offers.xclient => self.xclient(attributes),
            Command::Xforward(attributes) if self.offers.xforward => self.xforward(attributes),
            Command::Expn(_) | Command::Etrn(_) | Command::Xclient(_) | Command::Xforward(_) => {
                self.reply(replies::not_a_command(&SyntaxError::NotImplemented));
            }
            Command::Quit => {
                self.reply(replies::bye(&self.hostname));
                self.close(Closing::Quit);
            }
        }
    }

    /// HELO or EHLO amid a transaction drops it as RSET does (RFC 5321 §4.1.4). LMTP has LHLO alone (RFC 2033 §4.1).
    fn greet(&mut self, hello: Hello, name: &str) {
        if (hello == Hello::Lhlo) != (self.service == Service::Lmtp) {
            return self.reply(replies::wrong_hello(self.service));
        }
        self.drop_transaction();
        self.steps.push_back(Step::Hello(name.to_owned()));
        self.state = State::Asked(Asked::Hello(Client { name: name.to_owned(), hello }));
    }

    /// A client of this name may go on.
    pub(super) fn welcome(&mut self, client: Client) {
        let reply = match client.hello {
            Hello::Helo => replies::helo(&self.hostname),
            Hello::Ehlo | Hello::Lhlo => Reply::bare(
                250,
                offers::ehlo_text(&self.hostname, self.service, &self.offers, self.is_known, &self.limits),
            ),
        };
        self.state = State::Ready(client);
        self.reply(reply);
    }

    /// Where there is none, nothing changes.
    fn drop_transaction(&mut self) {
        let has_transaction = self.state.has_open_transaction();
        self.state = match self.take_state() {
            State::Transaction(Transaction { client, .. }) => State::Ready(client),
            State::BetweenChunks(chunking) => State::Ready(chunking.client),
            state => state,
        };
        if has_transaction {
            self.steps.push_back(Step::Reset);
        }
    }

    /// RFC 5321 §4.1.1.2.
    fn mail(&mut self, reverse_path: ReversePath, parameters: Box<MailParameters>) {
        let client = match self.take_state() {
            State::Ready(client) => client,
            state => {
                let is_greeted = !matches!(state, State::Ungreeted);
                self.state = state;
                return self.reply(if is_greeted {
                    replies::nested_mail()
                } else {
                    replies::greet_first(self.service)
                });
            }
        };
        if let Some(reply) = self.refuse_mail(&parameters) {
            self.state = State::Ready(client);
            return self.reply(reply);
        }
        let (body, smtputf8) = (parameters.body.unwrap_or_default(), parameters.smtputf8.is_some());
        let (greeting, hello) = (client.name.clone(), client.hello);
        self.steps.push_back(Step::Mail(Mail { reverse_path, parameters, greeting, hello }));
        self.state = State::Asked(Asked::Mail(client, body, smtputf8));
    }

    /// What MAIL is refused for before anybody is asked.
    fn refuse_mail(&self, parameters: &MailParameters) -> Option<Reply> {
        let offers = &self.offers;
        if offers.needs_tls && !offers.is_encrypted {
            return Some(replies::needs_tls());
        }
        if offers.needs_auth && !self.is_known {
            return Some(replies::needs_auth());
        }
        let is_not_offered = (parameters.require_tls.is_some() && !offers.is_encrypted)
            || (parameters.hold.is_some() && offers.longest_hold.is_none());
        if is_not_offered {
            return Some(replies::not_a_command(&SyntaxError::UnknownParameter));
        }
        let is_too_big = parameters.size.is_some_and(|size| size > self.limits.message_size);
        is_too_big.then(|| replies::declared_too_big(self.limits.message_size))
    }

    /// RFC 5321 §4.1.1.3.
    fn rcpt(&mut self, forward_path: ForwardPath, parameters: RcptParameters) {
        match self.take_state() {
            State::Transaction(transaction) if transaction.recipients >= self.limits.recipients => {
                self.refuse_recipient(transaction, forward_path, replies::too_many_recipients());
            }
            State::Transaction(transaction) if !transaction.smtputf8 && !is_ascii(&forward_path) => {
                self.refuse_recipient(transaction, forward_path, replies::needs_utf8());
            }
            State::Transaction(transaction) => {
                let RcptParameters { notify, original } = parameters;
                let options = RecipientOptions { notify, original };
                self.steps.push_back(Step::Recipient(forward_path.clone(), options));
                self.state = State::Asked(Asked::Recipient(transaction, forward_path));
            }
            state => self.refuse_out_of_order(state),
        }
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self) {
        match self.take_state() {
            // What has no lines cannot be sent as lines (RFC 3030 §3).
            State::Transaction(transaction) if transaction.body == BodyType::BinaryMime => {
                self.state = State::Transaction(transaction);
                self.reply(replies::binary_needs_chunks());
            }
            State::Transaction(transaction) if transaction.recipients > 0 => {
                self.steps.push_back(Step::Data);
                self.state = State::Asked(Asked::Data(transaction));
            }
            State::Transaction(transaction) => {
                let reply = self.no_recipients(&transaction);
                self.state = State::Transaction(transaction);
                self.reply(reply);
            }
            state => self.refuse_out_of_order(state),
        }
    }

    /// What content is refused with that nobody is to get. LMTP has one code for it (RFC 2033 §4.2).
    pub(super) fn no_recipients(&self, transaction: &Transaction) -> Reply {
        if transaction.has_refused && self.service != Service::Lmtp {
            replies::no_valid_recipients()
        } else {
            replies::rcpt_first()
        }
    }

    /// RCPT, DATA or BDAT where it cannot be.
    pub(super) fn refuse_out_of_order(&mut self, state: State) {
        let reply = self.out_of_order(&state);
        self.state = state;
        self.reply(reply);
    }

    pub(super) fn out_of_order(&self, state: &State) -> Reply {
        match state {
            State::Ungreeted => replies::greet_first(self.service),
            State::BetweenChunks(_) => replies::amid_chunks(),
            _ => replies::mail_first(),
        }
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

    fn query(&mut self, query: Query) {
        let before = Box::new(self.take_state());
        self.state = State::Asked(Asked::Query(before));
        self.steps.push_back(Step::Query(query));
    }

    /// RFC 1985 §5: not amid a transaction.
    fn etrn(&mut self, node: &str) {
        match self.state {
            State::Ready(_) => self.query(Query::Etrn(node.to_owned())),
            State::Ungreeted => self.reply(replies::greet_first(self.service)),
            _ => self.reply(replies::nested_mail()),
        }
    }

    /// Not amid a transaction: it tells of the next ones.
    fn xforward(&mut self, attributes: Vec<Attribute>) {
        match self.state {
            State::Ready(_) => self.query(Query::Xforward(attributes)),
            State::Ungreeted => self.reply(replies::greet_first(self.service)),
            _ => self.reply(replies::nested_mail()),
        }
    }

    /// Not amid a transaction: whatever the client said is forgotten.
    fn xclient(&mut self, attributes: Vec<Attribute>) {
        match self.state {
            State::Ready(_) | State::Ungreeted => {
                let before = Box::new(self.take_state());
                self.state = State::Asked(Asked::Query(before));
                self.steps.push_back(Step::Xclient(attributes));
            }
            _ => self.reply(replies::nested_mail()),
        }
    }
}

fn is_ascii(forward_path: &ForwardPath) -> bool {
    match forward_path {
        ForwardPath::Postmaster => true,
        ForwardPath::Address(address) => address.is_ascii(),
    }
}
