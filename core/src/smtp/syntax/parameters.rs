//! Parameters of MAIL and RCPT (RFC 5321 §4.1.2), each below the RFC that adds it.

use super::{SyntaxError, is_blank};
use crate::model::options::{Notify, OriginalRecipient, Ret};
use crate::model::{Address, BodyType, UtcTime, xtext};

/// Octets in ENVID's value, as sent (RFC 3461 §4.4).
const ENVID_LIMIT: usize = 100;
/// Octets in ORCPT's value, as sent (RFC 3461 §4.2).
const ORCPT_LIMIT: usize = 500;
/// Seconds that BY may ask for, forth and back (RFC 2852 §4).
const BY_LIMIT: i64 = 999_999_999;
/// Seconds that HOLDFOR may ask for (RFC 4865 §5).
const HOLD_LIMIT: u64 = 999_999_999;

/// Parameters of MAIL, each given at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870 §6.1), in octets. What does not fit 64 bits is the largest number that does.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152 §2, RFC 3030 §3).
    pub body: Option<BodyType>,
    /// `SMTPUTF8` (RFC 6531 §3.4).
    pub smtputf8: Option<()>,
    /// `RET=` (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// `AUTH=`: who submitted it; nobody where that is not known or not told (RFC 4954 §5).
    pub auth: Option<Option<Address>>,
    /// `BY=` (RFC 2852 §4).
    pub by: Option<By>,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865 §5).
    pub hold: Option<Hold>,
    /// `MT-PRIORITY=` (RFC 6710 §5).
    pub priority: Option<i8>,
    /// `REQUIRETLS` (RFC 8689 §2).
    pub require_tls: Option<()>,
}

/// The value of BY (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// How long delivery may take; none is negative here but where notice was wanted earlier (mode N only).
    pub seconds: i64,
    /// Mode `R`: returned when the time is over; else `N`: notice is given.
    pub is_return: bool,
    /// `T`.
    pub is_traced: bool,
}

/// How long a message is to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// So many seconds.
    For(u64),
    /// Until then.
    Until(UtcTime),
}

/// Parameters of RCPT, each given at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// `NOTIFY=` (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

/// `Mail-parameters = esmtp-param *(SP esmtp-param)` (RFC 5321 §4.1.2).
pub(super) fn mail_parameters(text: &str) -> Result<MailParameters, SyntaxError> {
    let mut parameters = MailParameters::default();
    for parameter in esmtp_params(text) {
        let (keyword, value) = parameter?;
        let all = &mut parameters;
        let is_first = match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => all.size.replace(size_value(value)?).is_none(),
            "BODY" => all.body.replace(body_value(value)?).is_none(),
            "SMTPUTF8" => all.smtputf8.replace(no_value(value)?).is_none(),
            "RET" => all.ret.replace(ret_value(value)?).is_none(),
            "ENVID" => all.envid.replace(envid_value(value)?).is_none(),
            "AUTH" => all.auth.replace(auth_value(value)?).is_none(),
            "BY" => all.by.replace(by_value(value)?).is_none(),
            "HOLDFOR" => all.hold.replace(Hold::For(hold_for_value(value)?)).is_none(),
            "HOLDUNTIL" => all.hold.replace(Hold::Until(hold_until_value(value)?)).is_none(),
            "MT-PRIORITY" => all.priority.replace(priority_value(value)?).is_none(),
            "REQUIRETLS" => all.require_tls.replace(no_value(value)?).is_none(),
            _ => return Err(SyntaxError::UnknownParameter),
        };
        if !is_first {
            return Err(SyntaxError::DuplicateParameter);
        }
    }
    Ok(parameters)
}

/// `Rcpt-parameters = esmtp-param *(SP esmtp-param)` (RFC 5321 §4.1.2).
pub(super) fn rcpt_parameters(text: &str) -> Result<RcptParameters, SyntaxError> {
    let mut parameters = RcptParameters::default();
    for parameter in esmtp_params(text) {
        let (keyword, value) = parameter?;
        let is_first = match keyword.to_ascii_uppercase().as_str() {
            "NOTIFY" => parameters.notify.replace(notify_value(value)?).is_none(),
            "ORCPT" => parameters.original.replace(orcpt_value(value)?).is_none(),
            _ => return Err(SyntaxError::UnknownParameter),
        };
        if !is_first {
            return Err(SyntaxError::DuplicateParameter);
        }
    }
    Ok(parameters)
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`,
/// `esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")`,
/// `esmtp-value = 1*(%d33-60 / %d62-126)` (RFC 5321 §4.1.2), with UTF-8 beyond (RFC 6531 §3.3). The value is empty where there is none.
fn esmtp_params(text: &str) -> impl Iterator<Item = Result<(&str, &str), SyntaxError>> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(|word| {
        let (keyword, value) = word.split_once('=').unwrap_or((word, ""));
        let keyword_is_good = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let value_is_good = !value.contains('=') && value.is_empty() != word.contains('=');
        if keyword_is_good && value_is_good { Ok((keyword, value)) } else { Err(SyntaxError::Parameter) }
    })
}

fn no_value(value: &str) -> Result<(), SyntaxError> {
    if value.is_empty() { Ok(()) } else { Err(SyntaxError::Parameter) }
}

/// `size-value = 1*20DIGIT` (RFC 1870 §3).
fn size_value(value: &str) -> Result<u64, SyntaxError> {
    let is_number = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    // Twenty digits can exceed 64 bits; a size that large is beyond every limit.
    if is_number { Ok(value.parse().unwrap_or(u64::MAX)) } else { Err(SyntaxError::Parameter) }
}

/// `body-value = "7BIT" / "8BITMIME" / "BINARYMIME"` (RFC 6152 §2, RFC 3030 §3).
fn body_value(value: &str) -> Result<BodyType, SyntaxError> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(BodyType::SevenBit),
        "8BITMIME" => Ok(BodyType::EightBitMime),
        "BINARYMIME" => Ok(BodyType::BinaryMime),
        "" => Err(SyntaxError::Parameter),
        _ => Err(SyntaxError::UnknownParameter),
    }
}

/// `ret-value = "FULL" / "HDRS"` (RFC 3461 §4.3).
fn ret_value(value: &str) -> Result<Ret, SyntaxError> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(SyntaxError::Parameter),
    }
}

/// `envid-parameter = "ENVID=" unrestricted-xtext`: printable when decoded (RFC 3461 §4.4).
fn envid_value(value: &str) -> Result<String, SyntaxError> {
    let decoded = xtext::decode(value).filter(|text| value.len() <= ENVID_LIMIT && is_printable(text));
    decoded.filter(|text| !text.is_empty()).ok_or(SyntaxError::Parameter)
}

/// `auth-value = "<>" / xtext` (RFC 4954 §5).
fn auth_value(value: &str) -> Result<Option<Address>, SyntaxError> {
    if value == "<>" {
        return Ok(None);
    }
    let mailbox = xtext::decode(value).ok_or(SyntaxError::Parameter)?;
    Address::parse_utf8(&mailbox).map(Some).map_err(|_| SyntaxError::Parameter)
}

/// `by-value = by-time ";" by-mode [by-trace]`, `by-time = ["-" / "+"] 1*9digit`, `by-mode = "N" / "R"`, `by-trace = "T"`
/// (RFC 2852 §4). Zero and less can only be told of (§4.1).
fn by_value(value: &str) -> Result<By, SyntaxError> {
    let parse = || {
        let (time, mode) = value.split_once(';')?;
        let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
        let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let seconds: i64 =
            if is_number { time.strip_prefix('+').unwrap_or(time).parse().ok()? } else { return None };
        let mode = mode.to_ascii_uppercase();
        let (is_return, trace) = (mode.starts_with('R'), mode.strip_prefix(['N', 'R'])?);
        let is_traced = trace == "T";
        let is_good =
            (is_traced || trace.is_empty()) && (!is_return || seconds > 0) && seconds.abs() <= BY_LIMIT;
        is_good.then_some(By { seconds, is_return, is_traced })
    };
    parse().ok_or(SyntaxError::Parameter)
}

/// `future-release-integer = 1*9DIGIT`, not zero (RFC 4865 §5).
fn hold_for_value(value: &str) -> Result<u64, SyntaxError> {
    let is_number = (1..=9).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    let seconds: u64 = if is_number { value.parse().unwrap_or(0) } else { 0 };
    if (1..=HOLD_LIMIT).contains(&seconds) { Ok(seconds) } else { Err(SyntaxError::Parameter) }
}

/// `future-release-date-time = date-time` of RFC 3339 §5.6 (RFC 4865 §5).
fn hold_until_value(value: &str) -> Result<UtcTime, SyntaxError> {
    UtcTime::from_rfc3339(value).ok_or(SyntaxError::Parameter)
}

/// `priority-value = (["-"] NZDIGIT) / "0"` (RFC 6710 §5).
fn priority_value(value: &str) -> Result<i8, SyntaxError> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_good = digits.len() == 1 && digits.bytes().all(|b| b.is_ascii_digit()) && value != "-0";
    if is_good { value.parse().map_err(|_| SyntaxError::Parameter) } else { Err(SyntaxError::Parameter) }
}

/// `notify-esmtp-value = "NEVER" / 1#notify-list-element` (RFC 3461 §4.1).
fn notify_value(value: &str) -> Result<Notify, SyntaxError> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(notify);
    }
    for element in value.split(',') {
        match element.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return Err(SyntaxError::Parameter),
        }
    }
    Ok(notify)
}

/// `orcpt-parameter = "ORCPT=" original-recipient-address`, `original-recipient-address = addr-type ";" xtext` (RFC 3461 §4.2). Of the kind
/// `utf-8` the address may also be escaped as `\x{20AC}` or stand as it is (RFC 6533 §3).
fn orcpt_value(value: &str) -> Result<OriginalRecipient, SyntaxError> {
    let (kind, address) = value.split_once(';').ok_or(SyntaxError::Parameter)?;
    let is_atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_utf8 = kind.eq_ignore_ascii_case("utf-8");
    let decoded = if is_utf8 { utf8_address(address) } else { xtext::decode(address) };
    let decoded = decoded.filter(|text| is_atom && value.len() <= ORCPT_LIMIT && is_printable(text));
    match decoded.filter(|text| !text.is_empty()) {
        Some(address) => Ok(OriginalRecipient { kind: kind.to_ascii_lowercase(), address }),
        None => Err(SyntaxError::Parameter),
    }
}

/// `utf-8-addr-xtext / utf-8-addr-unitext` (RFC 6533 §3).
fn utf8_address(text: &str) -> Option<String> {
    // What may be mistaken for an escape, or for a parameter's end, is always escaped.
    let literal = |text: &str| !text.contains(['\\', '+', '=', ' ']);
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        let (digits, after) = after.split_once('}')?;
        let is_hex = (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hex || !literal(before) {
            return None;
        }
        decoded.push_str(before);
        decoded.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    decoded.push_str(rest);
    literal(rest).then_some(decoded)
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
