//! What is verified of mail that strangers bring: `[verification]`.

use fulmar_core::config::{Consequence, Obedience};
use fulmar_core::model::Domain;

use toml::Value;

use super::keys::{Key, put, string, strings};
use super::value::{flag, list, mail_name, name_of, networks, word};
use super::written::{Written, Wrong};

const OBEDIENCE: [(&str, Obedience); 3] =
    [("obey", Obedience::Obey), ("quarantine", Obedience::Quarantine), ("report", Obedience::Report)];
const CONSEQUENCES: [(&str, Consequence); 2] = [("mark", Consequence::Mark), ("refuse", Consequence::Refuse)];
const SECTION: &str = "verification";

/// The settings of this section.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: SECTION,
        name: "enabled",
        set: |s, w| put(&mut s.engine.verification.is_on, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.verification.is_on)),
    },
    Key {
        section: SECTION,
        name: "exempt",
        set: |s, w| {
            s.engine.verification.exempt = networks(w)?;
            Ok(())
        },
        show: |s| strings(&s.engine.verification.exempt, ToString::to_string),
    },
    Key {
        section: SECTION,
        name: "authserv_id",
        set: |s, w| put(&mut s.engine.verification.authserv_id, domain(w).map(Some)),
        show: |s| s.engine.verification.authserv_id.as_ref().and_then(string),
    },
    Key {
        section: SECTION,
        name: "dmarc",
        set: |s, w| put(&mut s.engine.verification.dmarc, word(w, &OBEDIENCE)),
        show: |s| name_of(&OBEDIENCE, s.engine.verification.dmarc).and_then(string),
    },
    Key {
        section: SECTION,
        name: "spf_fail",
        set: |s, w| put(&mut s.engine.verification.spf_fail, word(w, &CONSEQUENCES)),
        show: |s| name_of(&CONSEQUENCES, s.engine.verification.spf_fail).and_then(string),
    },
    Key {
        section: SECTION,
        name: "unnamed_client",
        set: |s, w| put(&mut s.engine.verification.unnamed_client, word(w, &CONSEQUENCES)),
        show: |s| name_of(&CONSEQUENCES, s.engine.verification.unnamed_client).and_then(string),
    },
    Key {
        section: SECTION,
        name: "defer_temporary",
        set: |s, w| put(&mut s.engine.verification.defers_temporary, flag(w)),
        show: |s| Some(Value::Boolean(s.engine.verification.defers_temporary)),
    },
    Key {
        section: SECTION,
        name: "trusted_sealers",
        set: |s, w| {
            s.engine.verification.trusted_sealers = list(w, domain)?;
            Ok(())
        },
        show: |s| strings(&s.engine.verification.trusted_sealers, ToString::to_string),
    },
];

fn domain(written: &Written) -> Result<Domain, Wrong> {
    mail_name(written, "a domain", r#"a name such as "example.org""#, Domain::parse)
}
