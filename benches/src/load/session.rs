//! One session of the load: message after message, over as many connections as that takes.
//!
//! A message is accepted by the 250 that answers its own final dot, and by nothing else: replies are read in the order of
//! the commands, nothing may have come before the command that it answers, and any doubt fails the message and ends the connection.

use std::cell::RefCell;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use async_io::Timer;
use fulmar_core::transport::TlsClient;

use super::connection::{CLOSING, Connection, Progress, Stop, Watch, completed};
use super::content::Envelope;
use super::options::Options;
use super::schedule::{Schedule, Turn};
use super::source::Source;
use super::tally::{Accepted, Outcome, Phase, Tally, Trouble};

/// RFC 5321 §4.1.1.4
const GO_AHEAD: u16 = 354;
const ACCEPTED: u16 = 250;
const NO_CONTENT: &[u8] = b".\r\n";
const RSET: &[u8] = b"RSET\r\n";
const QUIT: &[u8] = b"QUIT\r\n";
/// How long a session of a closed loop leaves a server alone that gave it no connection.
const PAUSE: Duration = Duration::from_millis(10);

/// What the sessions of one thread share.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) contents: &'a Source,
    pub(super) schedule: &'a Schedule,
    pub(super) tls: Option<&'a TlsClient>,
    pub(super) started: Instant,
    pub(super) tally: RefCell<Tally>,
}

/// Sends messages until there are no more; over a connection that is open already, where there is one.
pub(super) async fn send_all(run: &Run<'_>, connection: Option<Connection>) {
    let progress = Progress::new();
    let mut watch = Watch::new(&progress, Duration::from_secs_f64(run.options.timeout));
    let mut sender = Sender {
        run,
        progress: &progress,
        connection,
        sent: 0,
        said_quit: false,
        head: run.contents.head(),
        envelope: Envelope::default(),
    };
    while let Some(turn) = run.schedule.take(run.started.elapsed()) {
        let outcome = if run.wait_for(turn).await {
            let sent = watch.over(sender.send(turn)).await;
            run.outcome(sent, progress.phase())
        } else {
            Outcome::Failed { phase: Phase::Waiting, trouble: Trouble::Timeout }
        };
        run.tally.borrow_mut().record(outcome);
        // Whatever goes wrong from here on concerns the connection and no message.
        let _ = watch.over(sender.conclude(outcome)).await;
        if run.options.rate.is_none() && is_without_connection(outcome) {
            Timer::after(PAUSE).await;
        }
    }
    let _ = watch.over(sender.quit()).await;
}

impl Run<'_> {
    /// Waits for a message's instant. False where that was too long ago for its sender to be waiting still.
    async fn wait_for(&self, turn: Turn) -> bool {
        let Some(due) = turn.due else { return true };
        let due = self.started + due;
        let now = Instant::now();
        if now < due {
            Timer::at(due).await;
        }
        now.saturating_duration_since(due).as_secs_f64() < self.options.timeout
    }

    fn outcome(&self, sent: Result<Accepted, Stop>, phase: Phase) -> Outcome {
        match sent {
            Ok(accepted) => Outcome::Accepted(accepted),
            Err(Stop::Refused(code)) => Outcome::Refused { phase, code, at: self.started.elapsed() },
            Err(Stop::Failed(trouble)) => Outcome::Failed { phase, trouble },
        }
    }
}

fn is_without_connection(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Accepted(_) => false,
        Outcome::Refused { phase, .. } | Outcome::Failed { phase, .. } => phase < Phase::Mail,
    }
}

struct Sender<'a> {
    run: &'a Run<'a>,
    progress: &'a Progress,
    /// Kept while it is known what the server expects next; a step that fails or is given up takes it along.
    connection: Option<Connection>,
    /// How many messages were tried on this connection.
    sent: u64,
    /// Whether QUIT went out with the content.
    said_quit: bool,
    head: Vec<u8>,
    envelope: Envelope,
}

impl Sender<'_> {
    async fn send(&mut self, turn: Turn) -> Result<Accepted, Stop> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                (self.sent, self.said_quit) = (0, false);
                Connection::open(self.run.options, self.run.tls, self.progress).await?
            }
        };
        let sent = self.transact(&mut connection, turn).await;
        if !matches!(sent, Err(Stop::Failed(_) | Stop::Refused(CLOSING))) {
            self.connection = Some(connection);
        }
        sent
    }

    async fn transact(&mut self, connection: &mut Connection, turn: Turn) -> Result<Accepted, Stop> {
        let octets = self.run.contents.octets(turn.number);
        let declared = connection.extensions.size.then_some(octets);
        self.envelope.fill(self.run.options, turn.number, declared);
        self.progress.begin(Phase::Mail);
        let begun = turn.due.map_or(self.progress.since(), |due| self.run.started + due);

        let agreement = self.agree(connection).await?;
        if let Some((phase, code)) = agreement.refusal {
            if agreement.go_ahead {
                // RFC 2920 §3.1: a server may ask for the content though it took no recipient.
                connection.write(&mut [IoSlice::new(NO_CONTENT)]).await?;
                connection.reply().await?;
            }
            self.progress.pass(phase);
            return Err(Stop::Refused(code));
        }
        self.progress.begin(Phase::Content);
        self.write_content(connection, turn.number).await?;
        let dot = Instant::now();
        let code = connection.reply().await?;
        if code != ACCEPTED {
            return Err(completed(code).err().unwrap_or(Stop::Failed(Trouble::Unexpected)));
        }
        let now = Instant::now();
        Ok(Accepted {
            number: turn.number,
            at: now - self.run.started,
            transaction: now - begun,
            dot: now - dot,
            octets,
            recipients: agreement.recipients,
        })
    }

    /// MAIL, RCPT and DATA: in one group (RFC 2920 §3.1), or each when the one before was answered.
    async fn agree(&mut self, connection: &mut Connection) -> Result<Agreement, Stop> {
        let grouped = connection.extensions.pipelining;
        if grouped {
            connection.write(&mut [IoSlice::new(self.envelope.octets())]).await?;
        }
        let mut agreement = Agreement::default();
        for command in self.envelope.commands() {
            let phase = phase_of(command);
            self.progress.pass(phase);
            if phase == Phase::Data {
                agreement.forget_some_recipients();
            }
            if !grouped {
                if agreement.ends_before(phase) {
                    break;
                }
                connection.write(&mut [IoSlice::new(command)]).await?;
            }
            let code = connection.reply().await?;
            if phase == Phase::Rcpt && code >= 400 && !agreement.ends_before(phase) {
                self.run.tally.borrow_mut().record_refused_recipient(code);
            }
            agreement.note(phase, code)?;
        }
        Ok(agreement)
    }

    /// The last message on a connection takes QUIT along where it may: RFC 2920 §3.1 lets content begin a group, and QUIT end one.
    async fn write_content(&mut self, connection: &mut Connection, number: u64) -> Result<(), Stop> {
        let [head, lines, last] = self.run.contents.content(number, &mut self.head);
        self.said_quit =
            connection.extensions.pipelining && self.run.options.per_connection.ends_after(self.sent);
        let quit = if self.said_quit { QUIT } else { b"" };
        connection.write(&mut [head, lines, last, quit].map(IoSlice::new)).await
    }

    /// After a message: leaves the connection as the next one needs it, or none.
    async fn conclude(&mut self, outcome: Outcome) -> Result<(), Stop> {
        if self.run.options.per_connection.ends_after(self.sent) {
            return self.quit().await;
        }
        self.sent += 1;
        if let Outcome::Refused { .. } = outcome
            && let Some(mut connection) = self.connection.take()
        {
            self.progress.begin(Phase::Mail);
            connection.write(&mut [IoSlice::new(RSET)]).await?;
            completed(connection.reply().await?)?;
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Ends the connection, if there is one, and waits for the reply: who closes before has the other side's writes fail.
    async fn quit(&mut self) -> Result<(), Stop> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        self.progress.begin(Phase::Content);
        if !self.said_quit {
            connection.write(&mut [IoSlice::new(QUIT)]).await?;
        }
        completed(connection.reply().await?)
    }
}

fn phase_of(command: &[u8]) -> Phase {
    match command.first() {
        Some(b'M') => Phase::Mail,
        Some(b'R') => Phase::Rcpt,
        _ => Phase::Data,
    }
}

/// What the replies to MAIL, RCPT and DATA come to.
#[derive(Debug, Default)]
struct Agreement {
    recipients: u64,
    /// What the message fails by: the first command that was refused, with its reply code.
    refusal: Option<(Phase, u16)>,
    go_ahead: bool,
}

impl Agreement {
    fn note(&mut self, phase: Phase, code: u16) -> Result<(), Stop> {
        match (phase, completed(code)) {
            (_, Err(Stop::Refused(CLOSING))) => return Err(Stop::Refused(CLOSING)),
            (_, Err(Stop::Refused(code))) => self.refusal = self.refusal.or(Some((phase, code))),
            (Phase::Data, _) if code == GO_AHEAD => self.go_ahead = true,
            (Phase::Data, Ok(())) => return Err(Stop::Failed(Trouble::Unexpected)),
            (Phase::Rcpt, Ok(())) => self.recipients += 1,
            (_, other) => return other,
        }
        Ok(())
    }

    /// A message goes to the recipients that were agreed to, whatever became of the others.
    fn forget_some_recipients(&mut self) {
        if self.recipients > 0 && matches!(self.refusal, Some((Phase::Rcpt, _))) {
            self.refusal = None;
        }
    }

    /// Whether there is no sense in a further command of this kind.
    fn ends_before(&self, phase: Phase) -> bool {
        self.refusal.is_some_and(|(refused, _)| refused == Phase::Mail || phase == Phase::Data)
    }
}
