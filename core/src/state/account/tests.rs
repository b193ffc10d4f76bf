use super::credentials::{APP_PASSWORDS, Scope};
use super::*;

fn create() -> Op {
    Op::Create { address: Address::parse("u@example.org").unwrap() }
}

fn arrival(n: u8) -> Op {
    let content = Stored { extent: Extent { at: 5, len: 10, crc: 0 }, header: 4, body: None };
    let queue_id = Some(QueueId::draw(UtcTime(u64::from(n)), [n; 10]));
    Op::Append(Arrival { mailbox: INBOX.into(), queue_id, received: UtcTime(0), flags: vec![], content })
}

fn replay(ops: &[(u64, Op)]) -> Account {
    let mut account = Account::default();
    for (commit, op) in ops {
        account.apply(op, &Position { commit: *commit, time: UtcTime(*commit), data_at: 100 });
    }
    account
}

#[test]
fn uids_rise_by_replay_and_a_message_arrives_once() {
    let account =
        replay(&[(1, create()), (2, arrival(1)), (3, arrival(1)), (4, arrival(2)), (5, arrival(1))]);
    let inbox = &account.mailboxes[INBOX];
    assert_eq!(inbox.messages.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((inbox.uid_validity, inbox.uid_next), (1, 3));
    assert_eq!(inbox.messages[&1].content.extent.at, 105);
    assert_eq!(inbox.messages[&2].modseq, 4);
}

#[test]
fn what_begins_again_has_a_new_uid_validity_and_still_knows_what_it_received() {
    let account = replay(&[
        (1, create()),
        (2, arrival(1)),
        (3, Op::Remove {}),
        (4, arrival(2)),
        (5, create()),
        (6, arrival(1)),
    ]);
    assert_eq!(account.mailboxes[INBOX].uid_validity, 5);
    assert!(account.mailboxes[INBOX].messages.is_empty());
}

fn expunge(uids: &[u32]) -> Op {
    Op::Expunge { mailbox: INBOX.into(), uids: uids.to_vec() }
}

#[test]
fn what_is_expunged_is_gone_once_and_its_uid_is_never_given_again() {
    let mut ops = vec![(1, create()), (2, arrival(1)), (3, arrival(2)), (4, arrival(3))];
    ops.extend([(5, expunge(&[2, 3, 3, 9])), (6, expunge(&[3, 2])), (7, arrival(4)), (8, arrival(2))]);
    let account = replay(&ops);
    let inbox = &account.mailboxes[INBOX];
    assert_eq!(inbox.messages.keys().copied().collect::<Vec<_>>(), [1, 4]);
    assert_eq!((inbox.uid_next, inbox.modseq, account.octets), (5, 7, 20));
}

#[test]
fn an_expunge_that_finds_nothing_changes_nothing() {
    let elsewhere = Op::Expunge { mailbox: "Archive".into(), uids: vec![1] };
    let account = replay(&[(1, create()), (2, arrival(1)), (3, expunge(&[7])), (4, elsewhere)]);
    assert_eq!((account.mailboxes[INBOX].modseq, account.octets, account.mailboxes.len()), (2, 10, 1));
}

#[test]
fn a_mailbox_written_before_expunges_were_known_is_still_read() {
    let mailbox: Mailbox = serde_json::from_str(r#"{"uid_validity":1,"uid_next":1,"messages":{}}"#).unwrap();
    assert_eq!((mailbox.uid_validity, mailbox.modseq), (1, 0));
}

#[test]
fn an_operation_of_a_later_version_is_not_taken_for_another() {
    assert!(serde_json::from_str::<Op>(r#"{"rename":{"mailbox":"INBOX"}}"#).is_err());
}

fn app(name: &str, selector: &str, scopes: &[Scope]) -> Op {
    Op::AppPassword(AppPassword {
        name: name.into(),
        scopes: scopes.iter().copied().collect(),
        created: UtcTime(7),
        selector: selector.into(),
        password: format!("hash of {name}"),
        scram: scram::Verifier::decoy(b"secret", name),
    })
}

const APP: &str = "abcdefghijkmnpqrstuvwxyz";

#[test]
fn a_password_opens_what_it_is_for() {
    let mut ops = vec![(1, create()), (2, Op::Password(Some("hash".into())))];
    ops.extend([
        (3, app("phone", "abcd", &[Scope::Imap, Scope::Smtp])),
        (4, app("desk", "abce", &[Scope::Imap])),
    ]);
    let account = replay(&ops);
    let fits = |password, scope| account.verifiers(password, scope);
    let own = (None, "hash".to_owned());
    assert_eq!(fits("pencil", Scope::Imap), std::slice::from_ref(&own));
    assert_eq!(fits(APP, Scope::Imap), [(Some(1), "hash of phone".to_owned()), own.clone()]);
    assert_eq!(fits(APP, Scope::Pop3), [own]);
}

#[test]
fn scram_is_for_the_own_password_and_else_for_the_only_one() {
    let scram = |name: &str| scram::Verifier::decoy(b"secret", name);
    let fits = |ops: &[(u64, Op)], scope| replay(ops).scram_verifier(scope);
    let mut ops = vec![(1, create()), (2, app("phone", "abcd", &[Scope::Imap, Scope::Smtp]))];
    assert_eq!(fits(&ops, Scope::Imap), Some((Some(1), scram("phone"))));
    assert_eq!(fits(&ops, Scope::Pop3), None);
    ops.push((3, app("desk", "abce", &[Scope::Imap])));
    assert_eq!(fits(&ops, Scope::Imap), None);
    assert_eq!(fits(&ops, Scope::Smtp), Some((Some(1), scram("phone"))));
    ops.extend([(4, Op::Password(Some("hash".into()))), (4, Op::Scram(scram("own")))]);
    assert_eq!(fits(&ops, Scope::Smtp), Some((None, scram("own"))));
    ops.push((5, Op::Password(Some("set by a version without SCRAM".into()))));
    assert_eq!(fits(&ops, Scope::Smtp), None);
}

#[test]
fn an_app_password_has_a_number_that_is_never_given_again() {
    let mut ops = vec![(1, create()), (2, app("a", "abcd", &[])), (3, Op::RemoveAppPassword { id: 1 })];
    ops.extend([(4, Op::RemoveAppPassword { id: 9 }), (5, app("b", "abcd", &[])), (6, Op::Remove {})]);
    ops.extend([(7, app("lost", "abcd", &[])), (8, create()), (9, app("c", "abcd", &[]))]);
    let names: Vec<_> = replay(&ops).app_passwords.into_iter().map(|(id, app)| (id, app.name)).collect();
    assert_eq!(names, [(3, "c".to_owned())]);
}

#[test]
fn there_are_no_more_app_passwords_than_are_allowed() {
    let ops = (0..=APP_PASSWORDS as u64).map(|n| (n + 2, app("a", "abcd", &[])));
    let ops: Vec<_> = std::iter::once((1, create())).chain(ops).collect();
    assert_eq!(replay(&ops).app_passwords.len(), APP_PASSWORDS);
}

#[test]
fn a_disabled_account_lets_nobody_in_until_it_is_enabled_and_takes_mail() {
    let ops = [(1, create()), (2, Op::Disabled(true)), (3, arrival(1)), (4, Op::Disabled(false))];
    let (disabled, enabled) = (replay(&ops[..3]), replay(&ops));
    assert!(!disabled.lets_in() && enabled.lets_in() && !Account::default().lets_in());
    assert_eq!(disabled.message_count(), 1);
}

#[test]
fn an_account_written_before_there_were_app_passwords_is_still_read() {
    let text =
        r#"{"exists":true,"address":"u@x.test","password":"hash","mailboxes":{},"octets":0,"delivered":{}}"#;
    let account: Account = serde_json::from_str(text).unwrap();
    assert!(account.lets_in() && account.scram.is_none() && account.app_passwords.is_empty());
    let op = serde_json::from_str::<Op>(r#"{"password":"hash"}"#).unwrap();
    assert_eq!(op, Op::Password(Some("hash".into())));
}

#[test]
fn what_credentials_are_written_as_is_read_back() {
    let mut ops =
        vec![app("phone", "abcd", &Scope::ALL), Op::RemoveAppPassword { id: 3 }, Op::Disabled(true)];
    ops.push(Op::Scram(scram::Verifier::decoy(b"secret", "u")));
    for op in &ops {
        let text = serde_json::to_string(op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), *op, "{text}");
    }
    ops.insert(0, create());
    let ops: Vec<_> = ops.into_iter().map(|op| (1, op)).collect();
    let account = replay(&ops);
    let text = serde_json::to_string(&account).unwrap();
    assert_eq!(serde_json::to_string(&serde_json::from_str::<Account>(&text).unwrap()).unwrap(), text);
}
