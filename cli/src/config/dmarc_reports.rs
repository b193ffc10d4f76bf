//! Reports to the owners of domains: `[dmarc_reports]`.

use fulmar_core::model::Address;
use toml::Value;

use super::keys::{Key, put, string, strings};
use super::value::{flag, list, mail_name, text};
use super::written::{Written, Wrong};

const SECTION: &str = "dmarc_reports";
const ADDRESS: &str = r#"an address such as "dmarc@example.org""#;
/// Characters of a name or a contact.
const WORDS_LIMIT: usize = 200;

/// The settings of this section.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: SECTION,
        name: "enabled",
        set: |s, w| put(&mut s.engine.dmarc_reports.is_on, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.dmarc_reports.is_on)),
    },
    Key {
        section: SECTION,
        name: "failures",
        set: |s, w| put(&mut s.engine.dmarc_reports.tells_failures, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.dmarc_reports.tells_failures)),
    },
    Key {
        section: SECTION,
        name: "from",
        set: |s, w| {
            let address = mail_name(w, "an address", ADDRESS, |text| Address::parse(text).map(Some));
            put(&mut s.engine.dmarc_reports.from, address)
        },
        show: |s| string(s.engine.dmarc_reports.from.as_ref()?),
    },
    Key {
        section: SECTION,
        name: "inbox",
        set: |s, w| {
            let address = |item: &Written| mail_name(item, "an address", ADDRESS, Address::parse);
            s.engine.dmarc_reports.inbox = list(w, address)?;
            Ok(())
        },
        show: |s| strings(&s.engine.dmarc_reports.inbox, ToString::to_string),
    },
    Key {
        section: SECTION,
        name: "organization",
        set: |s, w| put(&mut s.engine.dmarc_reports.organization, words(w, "a name").map(Some)),
        show: |s| string(s.engine.dmarc_reports.organization.as_ref()?),
    },
    Key {
        section: SECTION,
        name: "contact",
        set: |s, w| put(&mut s.engine.dmarc_reports.contact, words(w, "a contact").map(Some)),
        show: |s| string(s.engine.dmarc_reports.contact.as_ref()?),
    },
];

/// Text for people, on one line.
fn words(written: &Written, what: &str) -> Result<String, Wrong> {
    text(written, what, "a line of at most 200 characters", |text| {
        let is_line = !text.trim().is_empty() && !text.contains(char::is_control);
        (is_line && text.chars().count() <= WORDS_LIMIT).then(|| text.to_owned())
    })
}
