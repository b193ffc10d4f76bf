//! Command lines.

use fulmar_core::model::options::OriginalRecipient;
use fulmar_core::model::reply::REPLY_LINE_LIMIT;
use fulmar_core::model::{Address, ForwardPath, Reply, ReversePath, xtext};
use fulmar_core::smtp::syntax::{Attribute, Command, command};

/// One line without its CRLF. Case and blanks at the end do not matter, what is accepted is what can be handed on, paths and parameters
/// mean the same when they are written down again, and an error fits into a reply.
pub fn syntax(octets: &[u8]) {
    let parsed = command(octets);
    let blanks = [octets, b" \t"].concat();
    assert_eq!(command(&blanks), parsed, "blanks at the end");
    let verb = octets.iter().position(|octet| b" \t".contains(octet)).unwrap_or(octets.len());
    let mut swapped = octets.to_vec();
    swapped[..verb].iter_mut().for_each(|octet| *octet ^= if octet.is_ascii_alphabetic() { 0x20 } else { 0 });
    assert_eq!(command(&swapped), parsed, "case of the verb");
    match &parsed {
        Ok(command) => check(command),
        Err(error) => {
            let mut reply = Vec::new();
            Reply::new(500, (5, 5, 2), error.to_string()).write_to(&mut reply);
            let is_whole = reply.len() < REPLY_LINE_LIMIT && !reply.contains(&b'?');
            assert!(is_whole, "{error} does not fit into a reply");
        }
    }
}

fn check(parsed: &Command<'_>) {
    match parsed {
        Command::Helo(name) | Command::Ehlo(name) | Command::Lhlo(name) | Command::Etrn(name) => {
            assert!((1..=255).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_graphic()));
        }
        Command::Mail(reverse_path, parameters) => {
            if let ReversePath::Address(address) = reverse_path {
                check_address(address);
                assert!(address.is_ascii() || parameters.smtputf8.is_some());
            }
            if let Some(Some(address)) = &parameters.auth {
                check_address(address);
            }
            let text = |text: &String| {
                assert!(is_printable(text));
                assert_eq!(xtext::decode(&xtext::encode(text)).as_ref(), Some(text));
            };
            parameters.envid.iter().for_each(text);
            let line = format!("MAIL FROM:<{reverse_path}> SMTPUTF8");
            let Ok(Command::Mail(again, _)) = command(line.as_bytes()) else { panic!("{line:?} is refused") };
            assert_eq!(again, *reverse_path);
        }
        Command::Rcpt(forward_path, parameters) => {
            if let ForwardPath::Address(address) = forward_path {
                check_address(address);
            }
            let mut line = format!("RCPT TO:<{forward_path}>");
            if let Some(OriginalRecipient { kind, address }) = &parameters.original {
                assert!(is_printable(address));
                let is_utf8 = kind == "utf-8";
                let encoded = if is_utf8 { xtext::encode_utf8_address } else { xtext::encode }(address);
                line += &format!(" ORCPT={kind};{encoded}");
            }
            // What was short as UTF-8 may be too long as escapes.
            if let Ok(Command::Rcpt(again, others)) = command(line.as_bytes()) {
                assert_eq!((&again, &others.original), (forward_path, &parameters.original));
            } else {
                assert!(line.len() > 500, "{line:?} is refused");
            }
        }
        Command::Auth { mechanism, initial } => {
            assert!((1..=20).contains(&mechanism.len()) && *mechanism == mechanism.to_ascii_uppercase());
            assert!(initial.is_none_or(|text| text.bytes().all(|octet| octet.is_ascii_graphic())));
        }
        Command::Vrfy(question) | Command::Expn(question) => {
            assert!(!question.text.is_empty() && (question.smtputf8 || question.text.is_ascii()));
        }
        Command::Xclient(attributes) | Command::Xforward(attributes) => {
            assert!(!attributes.is_empty());
            for Attribute { name, value } in attributes {
                assert_eq!(attributes.iter().filter(|other| other.name == *name).count(), 1);
                assert!(value.as_ref().is_none_or(|value| value.len() <= 255 && is_printable(value)));
            }
        }
        Command::Bdat { .. }
        | Command::Data
        | Command::Rset
        | Command::Noop
        | Command::Quit
        | Command::Help
        | Command::StartTls => {}
    }
}

/// An address that was accepted can be written down, and then means the same; so does the form that it is kept under.
fn check_address(address: &Address) {
    let shown = address.to_string();
    assert!(is_printable(&shown), "{shown:?}");
    assert_eq!(Address::parse_utf8(&shown).as_ref(), Ok(address), "{shown:?}");
    let kept = address.normalized();
    assert_eq!(kept.normalized(), kept, "{shown:?}");
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
