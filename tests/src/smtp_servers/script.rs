//! What a [`Sink`](super::Sink) does instead of what is usual.

/// Where in a session something is due from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// After the connection is open.
    Greeting,
    /// After EHLO.
    Ehlo,
    /// After HELO.
    Helo,
    /// After STARTTLS.
    StartTls,
    /// In place of the TLS handshake that follows a positive reply to STARTTLS. A reply would come in clear text.
    Handshake,
    /// After MAIL.
    Mail,
    /// After the RCPT of this number in its transaction, from 1 on.
    Rcpt(usize),
    /// After the RCPT for this mailbox, without brackets.
    RcptTo(&'static str),
    /// After DATA.
    Data,
    /// After the first line of content. What is usual is to say nothing.
    AmidContent,
    /// After the final dot.
    Content,
    /// After RSET.
    Rset,
    /// After QUIT.
    Quit,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Says this; more than one line is parted by CRLF, and the last CRLF is added.
    Reply(&'static str),
    /// Says this, and closes the connection.
    ReplyAndClose(&'static str),
    /// Closes the connection without a word.
    Close,
    /// Says nothing more, and keeps the connection until the client closes it.
    Silence,
    /// Says what is no SMTP reply, and goes on.
    Garbage,
    /// Does what is usual once [`Sink::release`](super::Sink::release) is called, which lets all of them go on.
    Wait,
}

/// What a server offers, and where it departs from what is usual. The default offers no extension.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(super) extensions: Vec<&'static str>,
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    phase: Phase,
    act: Act,
    /// How often it still applies.
    left: usize,
}

impl Script {
    /// Offers these extensions, as their lines in the reply to EHLO say: `PIPELINING`, `SIZE 1000`, `STARTTLS`. What is
    /// offered is also understood.
    pub fn offering(mut self, extensions: &[&'static str]) -> Self {
        self.extensions.extend(extensions);
        self
    }

    /// Does this each time. Where several rules meet one moment, the first one is followed.
    pub fn always(self, phase: Phase, act: Act) -> Self {
        self.first(usize::MAX, phase, act)
    }

    /// Does this the first so many times, counted over all connections.
    pub fn first(mut self, times: usize, phase: Phase, act: Act) -> Self {
        self.rules.push(Rule { phase, act, left: times });
        self
    }

    pub(super) fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|offered| offered.split(' ').next() == Some(extension))
    }

    /// What is to be done now, which can be called by any of these names.
    pub(super) fn next(&mut self, is_now: impl Fn(Phase) -> bool) -> Option<Act> {
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && is_now(rule.phase))?;
        rule.left -= 1;
        Some(rule.act)
    }
}
