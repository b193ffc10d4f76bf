//! What a client asks for with parameters, as the queue keeps it: times that it gave from its command on become moments.

use std::time::Duration;

use crate::model::UtcTime;
use crate::model::options::{DeliverBy, MailOptions};
use crate::smtp::Hello;
use crate::smtp::syntax::{By, Hold, MailParameters};

/// The options of a message whose content has come in at `now`.
pub(super) fn options(parameters: &MailParameters, now: UtcTime) -> MailOptions {
    MailOptions {
        body: parameters.body.unwrap_or_default(),
        smtputf8: parameters.smtputf8.is_some(),
        ret: parameters.ret,
        envid: parameters.envid.clone(),
        deliver_by: parameters.by.map(|by| deliver_by(by, now)),
        hold_until: parameters.hold.map(|hold| hold_until(hold, now)),
        priority: parameters.priority.unwrap_or_default(),
        require_tls: parameters.require_tls.is_some(),
    }
}

/// A time that is over already, which only notice can be given of, is now (RFC 2852 §4.1).
fn deliver_by(By { seconds, is_return, is_traced }: By, now: UtcTime) -> DeliverBy {
    let at = now.after(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    DeliverBy { at, is_return, is_traced }
}

fn hold_until(hold: Hold, now: UtcTime) -> UtcTime {
    match hold {
        Hold::For(seconds) => now.after(Duration::from_secs(seconds)),
        Hold::Until(time) => time,
    }
}

/// How the message came, for its trace field (RFC 3848 §1, §2; RFC 6531 §4.3).
pub(super) fn protocol(hello: Hello, is_utf8: bool, is_encrypted: bool, is_known: bool) -> &'static str {
    match (hello, is_utf8, is_encrypted, is_known) {
        (Hello::Helo, ..) => "SMTP",
        (Hello::Ehlo, false, false, false) => "ESMTP",
        (Hello::Ehlo, false, false, true) => "ESMTPA",
        (Hello::Ehlo, false, true, false) => "ESMTPS",
        (Hello::Ehlo, false, true, true) => "ESMTPSA",
        (Hello::Ehlo, true, false, false) => "UTF8SMTP",
        (Hello::Ehlo, true, false, true) => "UTF8SMTPA",
        (Hello::Ehlo, true, true, false) => "UTF8SMTPS",
        (Hello::Ehlo, true, true, true) => "UTF8SMTPSA",
        (Hello::Lhlo, false, false, false) => "LMTP",
        (Hello::Lhlo, false, false, true) => "LMTPA",
        (Hello::Lhlo, false, true, false) => "LMTPS",
        (Hello::Lhlo, false, true, true) => "LMTPSA",
        (Hello::Lhlo, true, false, false) => "UTF8LMTP",
        (Hello::Lhlo, true, false, true) => "UTF8LMTPA",
        (Hello::Lhlo, true, true, false) => "UTF8LMTPS",
        (Hello::Lhlo, true, true, true) => "UTF8LMTPSA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_reckoned_from_when_the_message_came_in() {
        let by = |seconds| Some(By { seconds, is_return: false, is_traced: true });
        for (parameters, deliver_by, hold_until) in [
            (MailParameters::default(), None, None),
            (
                MailParameters { by: by(60), hold: Some(Hold::For(5)), ..Default::default() },
                Some(61_000),
                Some(6_000),
            ),
            (
                MailParameters { by: by(-60), hold: Some(Hold::Until(UtcTime(9))), ..Default::default() },
                Some(1_000),
                Some(9),
            ),
        ] {
            let options = options(&parameters, UtcTime(1_000));
            assert_eq!(options.deliver_by.map(|by| by.at.0), deliver_by, "{parameters:?}");
            assert_eq!(options.hold_until.map(|until| until.0), hold_until, "{parameters:?}");
        }
    }
}
