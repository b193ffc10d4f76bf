//! What a submission server does to messages of users (RFC 6409 §6, §8): it sees that they send under names of their own, and completes
//! what their programs leave out.

use super::client::Client;
use crate::directory::Resolution;
use crate::model::message::{fields, parse_address_list};
use crate::model::{Address, Domain, Event, QueueId, Reply, ReversePath, UtcTime};
use crate::service::Context;

/// Fields that are for the sender's eyes alone (RFC 5322 §3.6.3).
const BLIND: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// Whether a user may send as this. An address is a user's where mail for it comes to the account: the account itself, its subaddresses, and
/// aliases that lead there, also with others.
pub(super) async fn check_owner(context: &Context, user: &Address, address: &Address) -> Result<(), Reply> {
    if address.normalized() == *user {
        return Ok(());
    }
    let limit = context.config.smtp.recipients;
    match context.directory.resolve(address, &context.config.hostname, None, limit).await {
        Ok(Resolution::Targets(targets)) if targets.iter().any(|target| target.address == *user) => Ok(()),
        // RFC 6409 §6.1, RFC 3463 §3.8.
        Ok(_) => Err(Reply::new(553, (5, 7, 1), format!("<{address}> is not yours to send as"))),
        Err(error) => {
            let doing = format!("looking for who may send as {address}");
            context.journal.report(&Event::Trouble { doing, error: error.to_string() });
            Err(Reply::new(451, (4, 3, 0), "storage is not available, try again later"))
        }
    }
}

/// The same of a reverse-path; the null one is nobody's, and for reports of the user's program.
pub(super) async fn check_sender(context: &Context, user: &Address, from: &ReversePath) -> Result<(), Reply> {
    match from {
        ReversePath::Null => Ok(()),
        ReversePath::Address(address) => check_owner(context, user, address).await,
    }
}

/// The header block of a user's message, as it goes out. Refused where its authors are not the user.
pub(super) async fn complete(
    context: &Context,
    client: &Client<'_>,
    header: &[u8],
    id: QueueId,
    now: UtcTime,
) -> Result<Vec<u8>, Reply> {
    let Some(user) = client.identity.as_ref().map(|identity| &identity.account) else {
        return Ok(mended(header, None, client.hostname(), id, now));
    };
    let authors = check_authors(context, user, header).await?;
    Ok(mended(header, Some((user, authors)), client.hostname(), id, now))
}

/// Whether a user may send as all authors of a message; gives how many there are.
pub(super) async fn check_authors(context: &Context, user: &Address, header: &[u8]) -> Result<usize, Reply> {
    let authors = authors(header)?;
    for author in &authors {
        check_owner(context, user, author).await?;
    }
    Ok(authors.len())
}

/// Everybody in the From fields (RFC 5322 §3.6.2).
fn authors(header: &[u8]) -> Result<Vec<Address>, Reply> {
    let mut authors = Vec::new();
    for field in fields(header).filter(|field| is_named(field.name, "From")) {
        let list = parse_address_list(field.body).map_err(|error| {
            // RFC 6409 §6.2, RFC 3463 §3.7.
            Reply::new(550, (5, 6, 0), format!("the From field cannot be read: {error}"))
        })?;
        authors.extend(list);
    }
    Ok(authors)
}

/// The header block without what is for nobody else, and with what was left out (RFC 6409 §8.1 to §8.4). Of a user and how many authors
/// there are, it also says who sent it, where the authors do not.
fn mended(header: &[u8], user: Option<(&Address, usize)>, by: &Domain, id: QueueId, now: UtcTime) -> Vec<u8> {
    let has = |name: &str| fields(header).any(|field| is_named(field.name, name));
    let mut mended = Vec::with_capacity(header.len() + 256);
    let mut add = |line: String| mended.extend_from_slice(line.as_bytes());
    if !has("Date") {
        add(format!("Date: {}\r\n", now.to_rfc5322()));
    }
    if !has("Message-ID") {
        add(format!("Message-ID: <{id}@{by}>\r\n"));
    }
    match user {
        Some((user, 0)) => add(format!("From: <{user}>\r\n")),
        // Several authors have one who sends (RFC 5322 §3.6.2).
        Some((user, 2..)) => add(format!("Sender: <{user}>\r\n")),
        _ => {}
    }
    let mut length = 0;
    for field in fields(header) {
        length += field.octets.len();
        let is_blind = BLIND.iter().any(|name| is_named(field.name, name));
        let is_empty_from = user.is_some_and(|(_, authors)| authors == 0) && is_named(field.name, "From");
        // What a user claims about who sent it is worth nothing beside what we know (RFC 6409 §8.1).
        let is_sender = user.is_some() && is_named(field.name, "Sender");
        if !is_blind && !is_empty_from && !is_sender {
            mended.extend_from_slice(field.octets);
        }
    }
    mended.extend_from_slice(&header[length..]);
    mended
}

fn is_named(name: &[u8], expected: &str) -> bool {
    name.eq_ignore_ascii_case(expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(header: &str, authors: Option<usize>) -> String {
        let user = Address::parse("u@home.test").unwrap();
        let by = Domain::parse("mx.home.test").unwrap();
        let id = QueueId::draw(UtcTime(0), [0; 10]);
        let user = authors.map(|authors| (&user, authors));
        String::from_utf8(mended(header.as_bytes(), user, &by, id, UtcTime(0))).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_blind_is_taken_away() {
        let date = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n";
        let id = "Message-ID: <00000000000000000000000000@mx.home.test>\r\n";
        let whole = "Date: x\r\nmessage-id: <1@x>\r\nFrom: <u@home.test>\r\nSubject: s\r\n\r\n";
        for (header, authors, expected) in [
            (whole, Some(1), whole.to_owned()),
            (whole, None, whole.to_owned()),
            ("Subject: s\r\n\r\n", Some(0), format!("{date}{id}From: <u@home.test>\r\nSubject: s\r\n\r\n")),
            ("Subject: s\r\n\r\n", None, format!("{date}{id}Subject: s\r\n\r\n")),
            ("", Some(0), format!("{date}{id}From: <u@home.test>\r\n")),
            (
                "Date: x\r\nMessage-ID: y\r\nBCC: a@x.test,\r\n b@x.test\r\nFrom: <u@home.test>\r\nbcc:\r\n\r\n",
                Some(1),
                "Date: x\r\nMessage-ID: y\r\nFrom: <u@home.test>\r\n\r\n".to_owned(),
            ),
            (
                "Date: x\r\nMessage-ID: y\r\nSender: <boss@home.test>\r\nFrom: <u@home.test>, <v@home.test>\r\n\r\n",
                Some(2),
                "Sender: <u@home.test>\r\nDate: x\r\nMessage-ID: y\r\nFrom: <u@home.test>, <v@home.test>\r\n\r\n".to_owned(),
            ),
        ] {
            assert_eq!(mend(header, authors), expected, "{header:?}");
        }
    }

    #[test]
    fn a_from_field_that_cannot_be_read_is_no_author() {
        assert_eq!(authors(b"From: a@x.test\r\nfrom: <b@x.test>\r\n").unwrap().len(), 2);
        assert_eq!(authors(b"From: a@\r\n").unwrap_err().code, 550);
    }
}
