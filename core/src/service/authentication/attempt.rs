//! One attempt to log in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::names;
use crate::mailbox::Mailboxes;
use crate::model::{Address, Event};
use crate::platform::{Instant, Platform};
use crate::policy::guard::{Failed, Guess, Visitor};
use crate::sasl::password::{DECOY, matches};
use crate::sasl::scram::Verifier;
use crate::sasl::{Answer, Failure, Proof, Question, Secret};
use crate::service::Context;
use crate::state::account::credentials::Scope;
use crate::state::lock::Subject;
use crate::state::requests::Purpose;
use crate::state::{StateError, layout};

/// A login is not refused sooner than this after it was asked for.
const LEAST_DELAY: Duration = Duration::from_secs(1);
/// The refusal waits a random part of this longer, in milliseconds.
const DELAY_SPAN: u16 = 2_000;

/// Somebody who has proved to be the owner of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account, in lower case.
    pub account: Address,
    /// What was proved.
    pub how: How,
}

/// What somebody has logged in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The account's own password.
    Password,
    /// The app password of this number.
    AppPassword(u32),
    /// A certificate that names the account.
    Certificate,
    /// A token that names the account.
    Token,
    /// To a proxy that is believed, whatever it was there.
    Proxy,
}

impl How {
    fn of(app_password: Option<u32>) -> Self {
        app_password.map_or(Self::Password, Self::AppPassword)
    }
}

/// One attempt, from the first question of an exchange to its end.
#[derive(Debug)]
pub struct Attempt {
    context: Arc<Context>,
    mailboxes: Mailboxes,
    session: u64,
    peer: SocketAddr,
    scope: Scope,
    /// Who tries what; nothing before the first question.
    asked: Option<Asked>,
    /// Whom the answers have let in.
    granted: Option<Identity>,
}

#[derive(Debug)]
struct Asked {
    visitor: Visitor,
    /// Whom the name means.
    account: Option<Address>,
    /// Before this nobody is refused.
    due: Instant,
    /// What will have been proved, where SCRAM is under way.
    how: How,
    /// Whether a failure has been counted already.
    is_counted: bool,
}

impl Attempt {
    /// An attempt of a session, by its number on this node, to do what the scope says.
    pub fn new(context: Arc<Context>, session: u64, peer: SocketAddr, scope: Scope) -> Self {
        let mailboxes = context.mailboxes.of(Purpose::Read);
        Self { context, mailboxes, session, peer, scope, asked: None, granted: None }
    }

    /// Answers what the exchange asks. Trouble with the store is reported here.
    pub async fn answer(&mut self, question: Question) -> Answer {
        match self.find_out(question).await {
            Ok(answer) => answer,
            Err(error) => {
                let doing = format!("logging in in session {}", self.session);
                self.context.journal.report(&Event::Trouble { doing, error: error.to_string() });
                Answer::Unavailable
            }
        }
    }

    /// Takes the exchange's end: who has logged in, or what the client is told, in due time.
    pub async fn conclude(mut self, end: Result<Proof, Failure>) -> Result<Identity, Failure> {
        let failure = match (end, self.granted.take()) {
            (Ok(_), Some(identity)) => {
                let (session, account) = (self.session, identity.account.clone());
                self.context.journal.report(&Event::LoggedIn { session, account });
                return Ok(identity);
            }
            // An exchange that ends well without our having agreed is none.
            (Ok(_), None) => Failure::Credentials,
            (Err(failure), _) => failure,
        };
        if matches!(failure, Failure::Credentials | Failure::Downgraded) {
            self.refuse().await;
        }
        Err(failure)
    }

    async fn find_out(&mut self, question: Question) -> Result<Answer, StateError> {
        match question {
            Question::Password { authcid, authzid, password } => {
                self.begin(&authcid).await?;
                let is_own = self.is_own(&authzid).await?;
                self.compare(password, is_own).await
            }
            Question::ScramVerifier { authcid, authzid } => {
                self.begin(&authcid).await?;
                let is_own = self.is_own(&authzid).await?;
                self.verifier(&authcid, is_own).await
            }
            Question::Proved => Ok(self.proved()),
            Question::Certificate { addresses, authzid } => {
                // Without a name of the client's it is the first that the certificate has (RFC 4422 §A).
                let name = addresses.first().map(ToString::to_string).unwrap_or_default();
                self.begin(if authzid.is_empty() { &name } else { &authzid }).await?;
                self.certified(&addresses).await
            }
            Question::Token { authzid, token } => {
                self.begin(&authzid).await?;
                self.redeem(&authzid, &token).await
            }
        }
    }

    /// Notes who tries what, and from when the refusal's delay counts.
    async fn begin(&mut self, name: &str) -> Result<(), StateError> {
        self.context.authentication.note_use();
        let platform = self.context.requests.platform();
        let due = platform.clock.instant() + delay(platform);
        let account = names::account(&self.context, name).await?;
        // All ways to write a name are one, or each would have guesses of its own.
        let canonical = account.as_ref().map_or_else(|| name.to_owned(), ToString::to_string);
        let visitor = Visitor::new(self.peer.ip(), &canonical);
        self.asked = Some(Asked { visitor, account, due, how: How::Password, is_counted: false });
        Ok(())
    }

    /// Whether a client wants to be whom it logs in as: nobody may act for others (RFC 4422 §3.4.1).
    async fn is_own(&self, authzid: &str) -> Result<bool, StateError> {
        if authzid.is_empty() {
            return Ok(true);
        }
        let account = names::account(&self.context, authzid).await?;
        Ok(account.is_some() && self.asked.as_ref().is_some_and(|asked| asked.account == account))
    }

    async fn compare(&mut self, password: Secret, is_own: bool) -> Result<Answer, StateError> {
        let Some(asked) = &mut self.asked else { return Ok(Answer::Unavailable) };
        let guard = self.context.authentication.guard.clone();
        let clock = self.context.requests.platform().clock.clone();
        let mut verifiers = Vec::new();
        if let Some(account) = &asked.account
            && is_own
            && !guard.is_barred(&asked.visitor, clock.instant())
        {
            let chain = self.mailboxes.accounts().hold(&layout::account(account), Duration::ZERO).await?;
            if chain.state().lets_in() {
                verifiers = chain.state().verifiers(password.expose(), self.scope);
            }
        }
        // Given back by the comparison itself: it goes on where the session is dropped.
        let permit = self.context.comparisons.clone().acquire_arc().await;
        // Asked again, since many may have been waiting for their turn. What is right is not looked at then either.
        if guard.is_barred(&asked.visitor, clock.instant()) {
            verifiers.clear();
        }
        let visitor = asked.visitor.clone();
        let compared = self.context.requests.platform().spawn.unblock(move || {
            let guess = guess(&visitor, password.expose());
            let fits = match verifiers.is_empty() {
                true => {
                    matches(DECOY, password.expose());
                    None
                }
                false => verifiers.iter().find(|(_, verifier)| matches(verifier, password.expose())),
            };
            let now = clock.instant();
            let result = match fits {
                Some((app_password, _)) => {
                    guard.succeeded(&visitor, now);
                    Ok(How::of(*app_password))
                }
                None if guard.is_barred(&visitor, now) => Err(Failed::default()),
                None => Err(guard.failed(&visitor, Some(guess), now)),
            };
            drop(permit);
            result
        });
        let compared = compared.await;
        match compared.ok_or_else(|| StateError::Unavailable("the comparison was interrupted".to_owned()))? {
            Ok(how) => Ok(self.grant(how)),
            Err(failed) => {
                self.count(failed);
                Ok(Answer::Refused)
            }
        }
    }

    async fn verifier(&mut self, name: &str, is_own: bool) -> Result<Answer, StateError> {
        let secret = self.context.authentication.secret().await?;
        let Some(asked) = &mut self.asked else { return Ok(Answer::Unavailable) };
        // As for the names of failures: however it is written, one name has one salt.
        let canonical = asked.account.as_ref().map_or_else(|| name.to_owned(), ToString::to_string);
        let mut found = None;
        if let Some(account) = &asked.account {
            let chain = self.mailboxes.accounts().hold(&layout::account(account), Duration::ZERO).await?;
            if chain.state().lets_in() && is_own {
                found = chain.state().scram_verifier(self.scope);
            }
        }
        Ok(Answer::Verifier(match found {
            Some((app_password, verifier)) => {
                asked.how = How::of(app_password);
                verifier
            }
            None => Verifier::decoy(&secret, &canonical),
        }))
    }

    /// A client of SCRAM has proved to know the password; it does not know yet that it did.
    fn proved(&mut self) -> Answer {
        let Some(asked) = &self.asked else { return Answer::Unavailable };
        let (guard, how) = (&self.context.authentication.guard, asked.how);
        let now = self.context.requests.platform().clock.instant();
        if guard.is_barred(&asked.visitor, now) {
            return Answer::Refused;
        }
        guard.succeeded(&asked.visitor, now);
        self.grant(how)
    }

    /// A certificate is not guessed: no failure bars it.
    async fn certified(&mut self, addresses: &[Address]) -> Result<Answer, StateError> {
        let Some(Asked { account: Some(account), .. }) = &self.asked else { return Ok(Answer::Refused) };
        if !addresses.iter().any(|address| address.normalized() == *account) {
            return Ok(Answer::Refused);
        }
        let lets_in = self.lets_in(account).await?;
        Ok(if lets_in { self.grant(How::Certificate) } else { Answer::Refused })
    }

    /// Nor is a token: no failure bars it, but those who fail are counted.
    async fn redeem(&mut self, authzid: &str, token: &Secret) -> Result<Answer, StateError> {
        let found = self.context.authentication.tokens.account(token.expose()).await;
        let found = found.map_err(|unknown| StateError::Unavailable(unknown.to_string()))?;
        let Some(asked) = &self.asked else { return Ok(Answer::Unavailable) };
        // Without a name of the client's the token says whose it is.
        let account = found.filter(|account| authzid.is_empty() || asked.account.as_ref() == Some(account));
        if let Some(account) = account
            && self.lets_in(&account).await?
        {
            if let Some(asked) = &mut self.asked {
                asked.account = Some(account);
            }
            return Ok(self.grant(How::Token));
        }
        self.note_wrong(token);
        Ok(Answer::Refused)
    }

    /// Counts a wrong token; a program that repeats it is counted once.
    fn note_wrong(&mut self, token: &Secret) {
        let Some(asked) = &self.asked else { return };
        let (guard, now) =
            (&self.context.authentication.guard, self.context.requests.platform().clock.instant());
        let failed = guard.failed(&asked.visitor, Some(guess(&asked.visitor, token.expose())), now);
        self.count(failed);
    }

    async fn lets_in(&self, account: &Address) -> Result<bool, StateError> {
        let chain = self.mailboxes.accounts().hold(&layout::account(account), Duration::ZERO).await?;
        Ok(chain.state().lets_in())
    }

    fn grant(&mut self, how: How) -> Answer {
        let account = self.asked.as_ref().and_then(|asked| asked.account.clone());
        self.granted = account.map(|account| Identity { account, how });
        if self.granted.is_some() { Answer::Granted } else { Answer::Refused }
    }

    /// Counts what was not counted yet, tells of it, and lets time pass.
    async fn refuse(&mut self) {
        let clock = self.context.requests.platform().clock.clone();
        let account = self.asked.as_ref().and_then(|asked| asked.account.clone());
        let (session, peer) = (self.session, self.peer.to_string());
        self.context.journal.report(&Event::LoginFailed { session, peer, account });
        let Some(asked) = &self.asked else {
            // Nothing was asked, so nothing is known: refused for its form. It takes as long all the same.
            clock.sleep(delay(self.context.requests.platform())).await;
            return;
        };
        if !asked.is_counted {
            let (guard, now) = (&self.context.authentication.guard, clock.instant());
            if !guard.is_barred(&asked.visitor, now) {
                let failed = guard.failed(&asked.visitor, None, now);
                self.count(failed);
            }
        }
        if let Some(asked) = &self.asked {
            clock.sleep_until(asked.due).await;
        }
    }

    /// A failure has been counted.
    fn count(&mut self, failed: Failed) {
        let Some(asked) = &mut self.asked else { return };
        asked.is_counted = true;
        asked.due = asked.due + failed.delay;
        if failed.locked.is_empty() {
            return;
        }
        for subject in failed.locked {
            let subject = match subject {
                Subject::Address(address) => format!("address {address}"),
                Subject::Network(network) => format!("network {network}"),
                // The name as the account's, where it is one; never whatever somebody typed.
                Subject::Name(_) => asked
                    .account
                    .as_ref()
                    .map_or_else(|| "a name".to_owned(), |name| format!("account {name}")),
            };
            let seconds = self.context.config.auth.lock.as_secs();
            self.context.journal.report(&Event::LockedOut { subject, seconds });
        }
        self.context.authentication.publish();
    }
}

/// Tells one wrong guess from another, and nothing else.
fn guess(visitor: &Visitor, password: &str) -> Guess {
    let hash = digest(&SHA256, format!("{visitor:?}\0{password}").as_bytes());
    let mut guess = [0; size_of::<Guess>()];
    guess.copy_from_slice(&hash.as_ref()[..size_of::<Guess>()]);
    guess
}

fn delay(platform: &Platform) -> Duration {
    let mut random = [0; 2];
    platform.entropy.fill(&mut random);
    LEAST_DELAY + Duration::from_millis(u64::from(u16::from_le_bytes(random) % (DELAY_SPAN + 1)))
}
