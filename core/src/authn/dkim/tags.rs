//! Lists of tags, of which signatures and key records consist (RFC 6376 §3.2).

use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Flaw;

/// Tags of one list. Signatures have a dozen; a longer list is none.
const TAG_LIMIT: usize = 64;

/// Base64 as it is found in signatures and keys: some lack their padding, or end in bits that are not zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why octets are no list of tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TagError {
    #[error("octets that are no text")]
    NotText,
    #[error("{0:?} is no tag")]
    NotATag(String),
    #[error("two tags {0}=")]
    Twice(String),
    #[error("more than {TAG_LIMIT} tags")]
    TooMany,
    #[error("more than {0} octets")]
    TooLong(usize),
}

/// `tag-list = tag-spec *( ";" tag-spec ) [ ";" ]`. Nothing between two semicolons is passed over: there are such keys.
#[derive(Clone, Debug)]
pub(in crate::authn) struct TagList<'a> {
    tags: Vec<Tag<'a>>,
}

#[derive(Clone, Debug)]
struct Tag<'a> {
    name: &'a str,
    /// Without white space at its ends.
    value: &'a str,
    /// Where the value stands in the list, with the white space around it.
    place: Range<usize>,
}

impl<'a> TagList<'a> {
    /// `tag-spec = [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]`. Values may hold UTF-8 (RFC 8616 §4).
    pub(in crate::authn) fn parse(octets: &'a [u8]) -> Result<Self, TagError> {
        let text = std::str::from_utf8(octets).map_err(|_| TagError::NotText)?;
        let mut tags: Vec<Tag<'a>> = Vec::new();
        let mut start = 0;
        for spec in text.split(';') {
            let end = start + spec.len();
            if !spec.trim_matches(is_white).is_empty() {
                let (name, value) = spec.split_once('=').ok_or_else(|| no_tag(spec))?;
                let place = end - value.len()..end;
                let (name, value) = (name.trim_matches(is_white), value.trim_matches(is_white));
                if !is_name(name) || value.contains(|c: char| c.is_control() && !is_white(c)) {
                    return Err(no_tag(spec));
                }
                if tags.iter().any(|tag| tag.name == name) {
                    return Err(TagError::Twice(name.to_owned()));
                }
                if tags.len() == TAG_LIMIT {
                    return Err(TagError::TooMany);
                }
                tags.push(Tag { name, value, place });
            }
            start = end + 1;
        }
        Ok(Self { tags })
    }

    /// The name of the first tag.
    pub(in crate::authn) fn first(&self) -> Option<&'a str> {
        self.tags.first().map(|tag| tag.name)
    }

    /// The value of a tag, without white space at its ends.
    pub(in crate::authn) fn value(&self, name: &str) -> Option<&'a str> {
        self.find(name).map(|tag| tag.value)
    }

    /// Where the value of a tag stands in the list, with the white space around it.
    pub(in crate::authn) fn place(&self, name: &str) -> Option<Range<usize>> {
        self.find(name).map(|tag| tag.place.clone())
    }

    /// The value of a tag that must be there.
    pub(in crate::authn) fn required(&self, name: &'static str) -> Result<&'a str, Flaw> {
        self.value(name).filter(|value| !value.is_empty()).ok_or(Flaw::Missing(name))
    }

    /// The value of a tag that is a number. One that is too large for its type is the largest.
    pub(in crate::authn) fn number(&self, name: &'static str) -> Result<Option<u64>, Flaw> {
        let Some(value) = self.value(name) else { return Ok(None) };
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Flaw::Malformed(name));
        }
        Ok(Some(value.parse().unwrap_or(u64::MAX)))
    }

    /// The octets that a tag gives in base64, which white space may stand in (RFC 6376 §2.10).
    pub(in crate::authn) fn base64(&self, name: &'static str) -> Result<Vec<u8>, Flaw> {
        let compact: String = self.required(name)?.chars().filter(|c| !is_white(*c)).collect();
        BASE64.decode(compact).map_err(|_| Flaw::Malformed(name))
    }

    fn find(&self, name: &str) -> Option<&Tag<'a>> {
        self.tags.iter().find(|tag| tag.name == name)
    }
}

/// The elements of a value that is a list with colons. White space may stand around each.
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(':').map(|element| element.trim_matches(is_white))
}

/// White space that folds. A CR alone is found in old mail where a line end stood.
pub(super) fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// `tag-name = ALPHA *ALNUMPUNC`
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn no_tag(spec: &str) -> TagError {
    const SHOWN: usize = 40;
    TagError::NotATag(spec.trim_matches(is_white).chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_with_the_place_they_stand_in() {
        let text = " v=1;\r\n\tb =  ab c\r\n\td ;h=\u{e9};; c=";
        let tags = TagList::parse(text.as_bytes()).unwrap();
        let found = ["v", "b", "h", "c", "x"].map(|name| tags.value(name));
        assert_eq!(found, [Some("1"), Some("ab c\r\n\td"), Some("\u{e9}"), Some(""), None]);
        assert_eq!(&text[tags.place("b").unwrap()], "  ab c\r\n\td ");
        assert_eq!(tags.first(), Some("v"));
    }

    #[test]
    fn what_is_no_list_of_tags_says_why() {
        let many: String = (0..=TAG_LIMIT).map(|n| format!("t{n}=;")).collect();
        for (text, error) in [
            ("a=1; b", TagError::NotATag("b".to_owned())),
            ("=1", TagError::NotATag("=1".to_owned())),
            ("1a=1", TagError::NotATag("1a=1".to_owned())),
            ("a b=1", TagError::NotATag("a b=1".to_owned())),
            ("a=\0", TagError::NotATag("a=\0".to_owned())),
            ("a=1;b=2;a=1", TagError::Twice("a".to_owned())),
            (many.as_str(), TagError::TooMany),
        ] {
            assert_eq!(TagList::parse(text.as_bytes()).unwrap_err(), error, "{text}");
        }
        assert_eq!(TagList::parse(b"a=\xff").unwrap_err(), TagError::NotText);
        // Names are not equal in another case (RFC 6376 §3.2).
        assert!(TagList::parse(b"a=1;A=2").is_ok());
    }

    #[test]
    fn numbers_and_base64_are_read_to_their_ends_or_not_at_all() {
        let tags =
            TagList::parse(b"a=012; b=99999999999999999999; c=-1; d=1 2; e=; f= QU\r\n JD; g=QUI; h=Q!==")
                .unwrap();
        assert_eq!(tags.number("a"), Ok(Some(12)));
        assert_eq!(tags.number("b"), Ok(Some(u64::MAX)));
        for name in ["c", "d", "e"] {
            assert_eq!(tags.number(name), Err(Flaw::Malformed(name)));
        }
        assert_eq!(tags.number("x"), Ok(None));
        assert_eq!(tags.base64("f"), Ok(b"ABC".to_vec()));
        assert_eq!(tags.base64("g"), Ok(b"AB".to_vec()));
        assert_eq!(tags.base64("h"), Err(Flaw::Malformed("h")));
        assert_eq!(tags.base64("e"), Err(Flaw::Missing("e")));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic_and_places_lie_within_the_list(text in "([a-z]{0,2} ?=?[ -~\u{e9}\r\n]{0,6};?){0,8}") {
            if let Ok(tags) = TagList::parse(text.as_bytes()) {
                for tag in &tags.tags {
                    prop_assert_eq!(text[tag.place.clone()].trim_matches(is_white), tag.value);
                }
            }
        }
    }
}
