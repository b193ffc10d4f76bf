//! The part of a report for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::returned::Part;
use super::{Action, Report, Told};
use crate::model::date::in_words;
use crate::model::{Address, Reply, xtext};

/// Characters of a reply that are quoted.
pub(super) const REPLY_LIMIT: usize = 512;
/// Columns in which the text is set.
const COLUMNS: usize = 76;
/// Recipients that it names; all stand in the part for programs.
pub(super) const NAMED: usize = 20;

impl Report<'_> {
    /// What the worst of it comes to.
    pub(super) fn subject(&self) -> &'static str {
        let is_any = |wanted: fn(Action) -> bool| self.count(wanted) > 0;
        if is_any(|action| action == Action::Failed) {
            "Your message could not be delivered"
        } else if is_any(|action| matches!(action, Action::Delayed { .. })) {
            "Your message is delayed"
        } else if is_any(|action| action == Action::Relayed) {
            "Your message was handed on"
        } else {
            "Your message was delivered"
        }
    }

    /// The text. `listed` of the recipients are in the part for programs.
    pub(super) fn explanation(&self, listed: usize, returned: Option<&Part>) -> String {
        let (host, count) = (self.reporting_mta, self.recipients.len());
        let mut text = paragraph(&format!("This is the mail system at {host}."), 0);
        text.push_str("\r\n");
        text += &paragraph(&self.summary(), 0);
        let age = self.now.since(self.accepted);
        let is_mixed = self.count(|action| action == Action::Failed) < count;
        for told in self.recipients.iter().take(NAMED) {
            text.push_str("\r\n");
            text += &told.in_words(age, is_mixed, self.is_international());
        }
        if count > NAMED {
            let more = count - NAMED;
            let and_more = match count - listed {
                0 => format!("... and {more} more, all in the second part of this report."),
                left_out => {
                    format!(
                        "... and {more} more, of which {left_out} are too many to be listed in this report."
                    )
                }
            };
            text.push_str("\r\n");
            text += &paragraph(&and_more, 0);
        }
        let returned = match returned {
            Some(part) if part.is_whole => "It is at the end of this report.",
            Some(part) if part.is_cut => {
                "Its first header fields are at the end of this report; the rest of it is not returned."
            }
            Some(_) => "Its header fields are at the end of this report; the rest of it is not returned.",
            None => "It cannot be read any more, so nothing of it is returned.",
        };
        let last = format!(
            "If you need help, send this report to <postmaster@{host}>. Your message is called {} there. {returned}",
            self.original
        );
        text.push_str("\r\n");
        text + &paragraph(&last, 0)
    }

    /// What happened, in a sentence or two.
    fn summary(&self) -> String {
        let (accepted, count) = (self.accepted.to_rfc5322(), self.recipients.len());
        if self.count(|action| action == Action::Failed) < count {
            return format!("This is what has become of the message that it took from you on {accepted}:");
        }
        let whom = match count {
            1 => "the recipient below. It".to_owned(),
            _ => format!("the {count} recipients below. They"),
        };
        format!(
            "The message that it took from you on {accepted} could not be delivered to {whom} will not be tried again."
        )
    }
}

impl Told<'_> {
    fn in_words(&self, age: Duration, is_mixed: bool, is_utf8: bool) -> String {
        let mut text = format!("<{}>\r\n", shown(self.recipient, is_utf8));
        if let Some(alias) = self.alias {
            // Not folded: an address may hold blanks.
            let _ = write!(text, "    which is where mail for <{}> goes,\r\n", shown(alias, is_utf8));
        }
        let times = if self.attempts == 1 { "attempt" } else { "attempts" };
        let tried = format!("after {} {times} in {}", self.attempts, in_words(age));
        let what = match self.action {
            Action::Failed if is_mixed => format!("could not be delivered to, and was given up {tried}:"),
            Action::Failed => format!("given up {tried}:"),
            Action::Delayed { until } => {
                format!("not delivered to {tried}, and tried again until {}:", until.to_rfc5322())
            }
            Action::Delivered => "was delivered to.".to_owned(),
            Action::Relayed => {
                "was handed on to a host that does not say whether it delivers; no more will be told unless it fails."
                    .to_owned()
            }
            Action::Expanded => "was sent on to all those whom this address stands for.".to_owned(),
        };
        text += &paragraph(&what, 4);
        match self.action {
            Action::Failed | Action::Delayed { .. } => text + &paragraph(&quoted(self.reply), 4),
            Action::Delivered | Action::Relayed | Action::Expanded => text,
        }
    }
}

/// An address, with its letters beyond ASCII spelt where they may not stand.
fn shown(address: &Address, is_utf8: bool) -> String {
    match address.is_ascii() || is_utf8 {
        true => address.to_string(),
        false => xtext::encode_utf8_address(&address.to_string()),
    }
}

/// A reply on one line, in printable ASCII and not too long.
pub(super) fn quoted(reply: &Reply) -> String {
    let harmless = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    reply.to_string().chars().take(REPLY_LIMIT).map(harmless).collect::<String>().trim_end().to_owned()
}

/// Sets words in lines of [`COLUMNS`], indented; a longer word gets a line of its own.
fn paragraph(words: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in words.split_ascii_whitespace() {
        if column > 0 && column + 1 + word.len() <= COLUMNS {
            text.push(' ');
            column += 1;
        } else {
            text.push_str(if column > 0 { "\r\n" } else { "" });
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        text.push_str(word);
        column += word.len();
    }
    text + "\r\n"
}
