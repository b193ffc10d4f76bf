//! Who gets mail, and whose mail is taken, by a whole engine.
//!
//! | module | what is shown |
//! |---|---|
//! | `addresses` | what addresses of a domain come to: aliases, patterns, subaddresses, the catch-all |
//! | `directory` | the same asked of the directory itself: members, and that following aliases ends |
//! | `relayed` | domains whose mail goes on to another host, with and without a list of recipients |

mod addresses;
mod directory;
mod relayed;

/// Accounts of ours.
const ALICE: &str = "alice@home.test";
/// See `ALICE`.
const BOB: &str = "bob@home.test";
const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";
