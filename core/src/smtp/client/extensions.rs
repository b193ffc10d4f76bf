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
    /// MAIL takes `RET=` and `ENVID=`, RCPT takes `NOTIFY=` and `ORCPT=` (RFC 3461 §4).
    pub dsn: bool,
    /// Content may go by BDAT (RFC 3030 §2).
    pub chunking: bool,
    /// Content may hold any octets, where it goes by BDAT (RFC 3030 §3).
    pub binary_mime: bool,
    /// Addresses and header may hold UTF-8 (RFC 6531 §3.1).
    pub smtputf8: bool,
    /// MAIL takes `REQUIRETLS` (RFC 8689 §2).
    pub require_tls: bool,
    /// MAIL takes `BY=` of at least so many seconds (RFC 2852 §3).
    pub deliver_by: Option<u32>,
    /// MAIL takes `MT-PRIORITY=` (RFC 6710 §4).
    pub priority: bool,
    /// What a client may ask for within one session (RFC 9422 §3).
    pub limits: Limits,
    /// All others: keyword in capitals, and its parameters as they came.
    pub others: BTreeMap<String, String>,
}

/// The limits that a server named (RFC 9422 §4). None where it named none, or a number that is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `MAILMAX`: transactions in one session.
    pub transactions: Option<u32>,
    /// `RCPTMAX`: recipients in one transaction.
    pub recipients: Option<u32>,
    /// `RCPTDOMAINMAX`: domains of the recipients of one transaction.
    pub domains: Option<u32>,
}

impl Limits {
    /// `limits-ehlo-params = limit-name-value *[ SP limit-name-value ]` (RFC 9422 §3.1). Names that are not known are passed over.
    fn parse(parameters: &str) -> Self {
        let mut limits = Self::default();
        for (name, value) in parameters.split(' ').filter_map(|limit| limit.split_once('=')) {
            // Zero would forbid mail altogether, which is not what a limit is for (RFC 9422 §4).
            let value = value.parse().ok().filter(|limit| *limit > 0);
            match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => limits.transactions = value,
                "RCPTMAX" => limits.recipients = value,
                "RCPTDOMAINMAX" => limits.domains = value,
                _ => {}
            }
        }
        limits
    }
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
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "REQUIRETLS" => self.require_tls = true,
            // Without a number there is no least time (RFC 2852 §3).
            "DELIVERBY" => self.deliver_by = Some(parameters.parse().unwrap_or(0)),
            "MT-PRIORITY" => self.priority = true,
            "LIMITS" => self.limits = Limits::parse(parameters),
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
                    DSN\nCHUNKING\nBINARYMIME\nSMTPUTF8\nREQUIRETLS\nDELIVERBY 240\nMT-PRIORITY MIXER\n\
                    LIMITS mailmax=5 RCPTMAX=100 RCPTDOMAINMAX=0 NEW=x\n\
                    AUTH PLAIN LOGIN\nauth=PLAIN\n\n- welcome -\nX-1";
        let others = [("AUTH", "PLAIN LOGIN"), ("X-1", "")];
        let expected = Extensions {
            pipelining: true,
            size: true,
            size_limit: Some(1000),
            eight_bit_mime: true,
            enhanced_status_codes: true,
            starttls: true,
            dsn: true,
            chunking: true,
            binary_mime: true,
            smtputf8: true,
            require_tls: true,
            deliver_by: Some(240),
            priority: true,
            limits: Limits { transactions: Some(5), recipients: Some(100), domains: None },
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
