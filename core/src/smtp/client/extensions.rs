//! What a server offers (RFC 5321 §4.1.1.1).

use std::collections::BTreeMap;

/// The extensions that a server named in its reply to EHLO. None after HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Commands may be sent in groups (RFC 2920 §2).
    pub pipelining: bool,
    /// MAIL takes `SIZE=` (RFC 1870 §3).
    pub size: bool,
    /// Octets that a message may have, where the server named a limit (RFC 1870 §4).
    pub size_limit: Option<u64>,
    /// Content may hold octets beyond ASCII (RFC 6152 §2).
    pub eight_bit_mime: bool,
    /// Replies carry enhanced status codes (RFC 2034 §3).
    pub enhanced_status_codes: bool,
    /// The session may be encrypted (RFC 3207 §2).
    pub starttls: bool,
    /// All others: keyword in capitals, and its parameters as they came.
    pub others: BTreeMap<String, String>,
}

impl Extensions {
    /// Reads the text of a positive reply to EHLO, whose first line is the server's name.
    ///
    /// `ehlo-line = ehlo-keyword *( SP ehlo-param )`, `ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")`. Lines that
    /// break the rule offer nothing: some servers add decoration.
    pub(super) fn parse(text: &str) -> Self {
        let mut extensions = Self::default();
        for line in text.split('\n').skip(1) {
            let (keyword, parameters) = line.split_once(' ').unwrap_or((line, ""));
            let is_keyword = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if is_keyword {
                extensions.add(keyword.to_ascii_uppercase(), parameters.trim());
            }
        }
        extensions
    }

    fn add(&mut self, keyword: String, parameters: &str) {
        match keyword.as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "SIZE" => {
                self.size = true;
                // Zero says that there is no fixed limit (RFC 1870 §4).
                self.size_limit = parameters.parse().ok().filter(|limit| *limit > 0);
            }
            _ => {
                self.others.insert(keyword, parameters.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case_and_decoration_is_passed_over() {
        let text = "PIPELINING is no extension here\npipelining\nSize 1000\n8bitMIME\nEnhancedStatusCodes\nSTARTTLS\n\
                    AUTH PLAIN LOGIN\nauth=PLAIN\n\n- welcome -\nX-1";
        let others = [("AUTH", "PLAIN LOGIN"), ("X-1", "")];
        let expected = Extensions {
            pipelining: true,
            size: true,
            size_limit: Some(1000),
            eight_bit_mime: true,
            enhanced_status_codes: true,
            starttls: true,
            others: others.map(|(keyword, value)| (keyword.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(Extensions::parse(text), expected);
        assert_eq!(Extensions::parse("PIPELINING"), Extensions::default());
    }

    #[test]
    fn a_size_without_a_usable_number_names_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE many", "SIZE -1", "SIZE 99999999999999999999"] {
            let extensions = Extensions::parse(&format!("mx.test\n{line}"));
            assert_eq!((extensions.size, extensions.size_limit), (true, None), "{line}");
        }
    }
}
