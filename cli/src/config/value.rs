//! Kinds of setting: how each is read from what was written, and how it is shown again.

use std::ops::RangeInclusive;
use std::time::Duration;

use fulmar_core::model::AddressError;
use ipnet::IpNet;

use super::Secret;
use super::written::{Value, Written, Wrong};

/// What a list of networks may hold.
pub(super) const NETWORKS: &str = r#"networks such as "10.0.0.0/8" or "::1/128""#;
const DURATIONS: &str = r#"a number with ms, s, m, h or d, such as "5m""#;
const SIZES: &str = r#"octets as a number, or with K, M or G (KiB, MiB, GiB) as in "50M""#;

/// Units of duration in milliseconds. A library for durations reads `M` as a month and shows `5days`: too much and too long.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in octets; the first of each pair is shown.
const SIZE_UNITS: [([&str; 2], u64); 3] =
    [(["G", "GiB"], 1 << 30), (["M", "MiB"], 1 << 20), (["K", "KiB"], 1 << 10)];

/// Text that `parse` takes.
pub(super) fn text<'a, T>(
    written: &'a Written,
    what: &str,
    allowed: &str,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, Wrong> {
    as_text(written).and_then(parse).ok_or_else(|| written.wrong(&format!("is not {what}"), allowed))
}

/// Text that is part of an address, with the reason where it is none.
pub(super) fn mail_name<T>(
    written: &Written,
    what: &str,
    allowed: &str,
    parse: impl FnOnce(&str) -> Result<T, AddressError>,
) -> Result<T, Wrong> {
    let parsed = as_text(written).ok_or(None).and_then(|text| parse(text).map_err(Some));
    parsed.map_err(|error| match error {
        Some(error) => written.wrong(&format!("is not {what} ({error})"), allowed),
        None => written.wrong(&format!("is not {what}"), allowed),
    })
}

/// One of a few words.
pub(super) fn word<T: Copy>(written: &Written, words: &[(&str, T)]) -> Result<T, Wrong> {
    let found = as_text(written).and_then(|text| words.iter().find(|(word, _)| *word == text));
    let names = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    found.map(|(_, meaning)| *meaning).ok_or_else(|| written.wrong("is unknown", names))
}

/// The word that means this.
pub(super) fn name_of<T: PartialEq + Copy>(words: &[(&'static str, T)], meaning: T) -> Option<&'static str> {
    words.iter().find(|(_, known)| *known == meaning).map(|(name, _)| *name)
}

/// `true` or `false`.
pub(super) fn flag(written: &Written) -> Result<bool, Wrong> {
    match &written.value {
        Value::Boolean(flag) => Ok(*flag),
        Value::Raw(text) if text == "true" => Ok(true),
        Value::Raw(text) if text == "false" => Ok(false),
        _ => Err(written.wrong("is neither true nor false", "true or false")),
    }
}

/// A whole number.
pub(super) fn count<T: TryFrom<u64>>(written: &Written, range: RangeInclusive<u64>) -> Result<T, Wrong> {
    let allowed = format!("{} to {}", range.start(), range.end());
    let number = match &written.value {
        Value::Integer(number) => Some(u64::try_from(*number).ok()),
        Value::Raw(text) => text.parse().ok().map(Some),
        _ => None,
    };
    let number = number.ok_or_else(|| written.wrong("is not a whole number", &allowed))?;
    let number = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| written.wrong("is out of range", &allowed))
}

/// A number of octets.
pub(super) fn size<T: TryFrom<u64>>(written: &Written, range: RangeInclusive<u64>) -> Result<T, Wrong> {
    let octets = match &written.value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) | Value::Raw(text) => parse_size(text),
        _ => None,
    };
    let octets = octets.ok_or_else(|| written.wrong("is not a size", SIZES))?;
    let octets =
        Some(octets).filter(|octets| range.contains(octets)).and_then(|octets| T::try_from(octets).ok());
    octets.ok_or_else(|| {
        let (least, most) = (show_size(*range.start()), show_size(*range.end()));
        written.wrong("is out of range", format!("{least} to {most}"))
    })
}

/// A length of time.
pub(super) fn duration(written: &Written, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let duration = text(written, "a duration", DURATIONS, parse_duration)?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
    Err(written.wrong("is out of range", format!("{least} to {most}")))
}

/// A list, each of its values read by `item`; in a variable, values are separated by commas.
pub(super) fn list<T>(
    written: &Written,
    item: impl Fn(&Written) -> Result<T, Wrong>,
) -> Result<Vec<T>, Vec<Wrong>> {
    let items = match &written.value {
        Value::List(items) => items.clone(),
        Value::Raw(text) if text.trim().is_empty() => Vec::new(),
        Value::Raw(text) => text.split(',').map(|part| Written::in_variable(part.trim())).collect(),
        _ => return Err(written.wrong("is not a list", "a list in brackets").into()),
    };
    let (mut values, mut wrongs) = (Vec::new(), Vec::new());
    for result in items.iter().map(item) {
        match result {
            Ok(value) => values.push(value),
            Err(wrong) => wrongs.push(wrong),
        }
    }
    if wrongs.is_empty() { Ok(values) } else { Err(wrongs) }
}

/// Networks.
pub(super) fn networks(written: &Written) -> Result<Vec<IpNet>, Vec<Wrong>> {
    list(written, |item| text(item, "a network", NETWORKS, |text| text.parse().ok()))
}

/// Text of visible characters that is a word to somebody else, such as a region or a profile.
pub(super) fn plain(written: &Written, what: &str, allowed: &str) -> Result<String, Wrong> {
    text(written, what, allowed, |text| is_visible(text).then(|| text.to_owned()))
}

/// A secret. What was written is not repeated, whatever is wrong with it.
pub(super) fn secret(written: &Written) -> Result<Secret, Wrong> {
    let found = as_text(written).filter(|text| is_visible(text));
    let hidden = Written { line: written.line, value: Value::Other("what stands here") };
    let wrong = || hidden.wrong("is not a secret", "text without spaces");
    found.map(|text| Secret(text.to_owned())).ok_or_else(wrong)
}

/// With the largest unit that leaves a whole number.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let unit = DURATION_UNITS.iter().find(|(_, unit)| milliseconds.is_multiple_of(u128::from(*unit)));
    let (name, unit) = unit.copied().unwrap_or(("ms", 1));
    format!("{}{name}", milliseconds / u128::from(unit))
}

/// With the largest unit that leaves a whole number.
pub(super) fn show_size(octets: u64) -> String {
    let unit = SIZE_UNITS.iter().find(|(_, unit)| octets != 0 && octets.is_multiple_of(*unit));
    match unit {
        Some(([name, _], unit)) => format!("{}{name}", octets / unit),
        None => octets.to_string(),
    }
}

/// A whole number and its unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let (_, unit) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*unit).map(Duration::from_millis)
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    if unit.is_empty() {
        return Some(number);
    }
    let (_, unit) = SIZE_UNITS.iter().find(|(names, _)| names.contains(&unit))?;
    number.checked_mul(*unit)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn as_text(written: &Written) -> Option<&str> {
    match &written.value {
        Value::Text(text) | Value::Raw(text) => Some(text),
        _ => None,
    }
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_shown_with_the_largest_unit_that_fits() {
        for (milliseconds, shown) in
            [(0, "0s"), (1, "1ms"), (1_500, "1500ms"), (90_000, "90s"), (86_400_000, "1d")]
        {
            assert_eq!(show_duration(Duration::from_millis(milliseconds)), shown);
        }
        for (octets, shown) in [(0, "0"), (1_000, "1000"), (1_024, "1K"), (50 << 20, "50M"), (1 << 30, "1G")]
        {
            assert_eq!(show_size(octets), shown);
        }
    }
}
