//! Reports to the owners of domains: `[dmarc_reports]`.

use fulmar_core::model::Address;
use toml::Value;

use super::keys::{Key, put, string};
use super::value::{flag, mail_name, text};
use super::written::{Written, Wrong};

const SECTION: &str = "dmarc_reports";
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
        name: "from",
        set: |s, w| {
            let allowed = r#"an address such as "dmarc@example.org""#;
            let address = mail_name(w, "an address", allowed, |text| Address::parse(text).map(Some));
            put(&mut s.engine.dmarc_reports.from, address)
        },
        show: |s| string(s.engine.dmarc_reports.from.as_ref()?),
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
