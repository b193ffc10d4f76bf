//! Mail that comes in, lies in mailboxes, and is fetched and deleted.

use std::sync::Arc;

use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Which};
use fulmar_tests::runtime::Runtime;

use super::client::SENDER;
use super::on_every_runtime;
use super::world::{ALICE, BOB, TEAM, World};

on_every_runtime![
    mail_is_fetched_as_it_was_sent,
    each_recipient_gets_one_copy_however_it_was_named,
    a_large_message_comes_back_whole,
    mail_is_refused_while_the_store_is_away_and_taken_once_it_is_back,
    a_session_that_ends_amid_content_leaves_nothing,
    what_a_session_deletes_is_gone_once_it_has_quit,
];

/// More than two pieces of 2 MiB.
const LARGE: usize = (4 << 20) + 4_321;

fn message(subject: &str) -> Vec<u8> {
    format!("Subject: {subject}\r\n\r\n{subject}\r\n").into_bytes()
}

async fn mail_is_fetched_as_it_was_sent(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    let contents: [&[u8]; 4] = [
        b"Subject: dots\r\n\r\n.\r\n..\r\n.dot\r\n",
        b"Subject: no body\r\n\r\n",
        b"\r\nno header\r\n",
        "Subject: gr\u{fc}n\r\n\r\n\u{df}\0\r\n".as_bytes(),
    ];
    let mut sender = world.smtp(&node).await;
    for content in contents {
        sender.deliver(&[ALICE], content).await;
        // One after the other, so that they lie in the mailbox in this order.
        world.until_done().await;
    }
    sender.quit("221 ").await;
    let stored = world.inbox(ALICE).await;
    assert_eq!(stored.len(), contents.len());
    let mut reader = world.pop3(&node, ALICE).await;
    let octets: usize = stored.iter().map(Vec::len).sum();
    reader.command("STAT", &format!("+OK {} {octets}\r\n", contents.len())).await;
    for (number, (content, stored)) in contents.iter().zip(&stored).enumerate() {
        let retrieved = reader.multi_line(&format!("RETR {}", number + 1)).await;
        assert!(retrieved == *stored, "message {number} is not what is stored");
        assert!(retrieved.starts_with(b"Return-Path: <sender@far.test>\r\n"));
        assert!(retrieved.ends_with(content), "{:?}", String::from_utf8_lossy(&retrieved));
    }
    reader.quit("+OK ").await;
}

pub(super) async fn each_recipient_gets_one_copy_however_it_was_named(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    let mut sender = world.smtp(&node).await;
    let sent: [(&[&str], &str); 4] = [
        (&[TEAM], "alias"),
        (&[ALICE, BOB], "both"),
        (&[TEAM, ALICE, "Bob@HOME.test", TEAM], "often"),
        (&[BOB], "bob"),
    ];
    for (recipients, subject) in sent {
        sender.deliver(recipients, message(subject)).await;
    }
    sender.command("MAIL FROM:<>", "250 ").await;
    sender.command("RCPT TO:<nobody@home.test>", "550 5.1.1 ").await;
    sender.command("RCPT TO:<somebody@far.test>", "550 5.7.1 ").await;
    sender.quit("221 ").await;
    world.until_done().await;
    for (account, subjects) in
        [(ALICE, &["alias", "both", "often"][..]), (BOB, &["alias", "both", "often", "bob"])]
    {
        let mut expected: Vec<_> = subjects.iter().map(|subject| message(subject)).collect();
        for stored in world.inbox(account).await {
            let found = expected.iter().position(|content| stored.ends_with(content));
            expected.remove(found.unwrap_or_else(|| panic!("{account} has {stored:?} once too often")));
        }
        assert!(expected.is_empty(), "{account} has not got {expected:?}");
    }
}

async fn a_large_message_comes_back_whole(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    let mut content = b"Subject: large\r\n\r\n".to_vec();
    let mut line = 0;
    while content.len() < LARGE {
        content.extend_from_slice(format!(".{line:>60}\r\n").as_bytes());
        line += 1;
    }
    let mut sender = world.smtp(&node).await;
    sender.deliver(&[TEAM], &content).await;
    sender.quit("221 ").await;
    world.until_done().await;
    let pieces = world.keys(layout::ACCOUNTS).await.iter().filter(|key| key.contains("/body/")).count();
    assert_eq!(pieces, 2 * LARGE.div_ceil(2 << 20), "pieces in the accounts");
    let mut reader = world.pop3(&node, BOB).await;
    let retrieved = reader.multi_line("RETR 1").await;
    assert!(retrieved.ends_with(&content), "{} octets came back", retrieved.len());
    reader.quit("+OK ").await;
    assert!(world.inbox(ALICE).await[0].ends_with(&content));
}

async fn mail_is_refused_while_the_store_is_away_and_taken_once_it_is_back(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |config| {
        config.store.deadline = std::time::Duration::from_millis(300);
        config.store.pause = std::time::Duration::from_millis(10);
    })
    .await;
    let node = world.start(1).await;
    let mut sender = world.smtp(&node).await;
    sender.deliver(&[ALICE], message("before")).await;
    world.until_done().await;
    node.faults.fail(Which::any(""), Failure::Unavailable, usize::MAX);
    for _ in 0..2 {
        let reply = sender.transact(SENDER, &[ALICE], message("meanwhile")).await;
        assert!(reply.starts_with("451 4."), "{reply:?}");
    }
    node.faults.heal();
    // The session has outlived it all.
    sender.deliver(&[ALICE], message("after")).await;
    sender.quit("221 ").await;
    world.until_done().await;
    let inbox = world.inbox(ALICE).await;
    assert_eq!(inbox.len(), 2);
    assert!(inbox[0].ends_with(&message("before")) && inbox[1].ends_with(&message("after")));
}

async fn a_session_that_ends_amid_content_leaves_nothing(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    let mut sender = world.smtp(&node).await;
    sender.command("MAIL FROM:<sender@far.test>", "250 ").await;
    sender.command(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
    sender.command("DATA", "354 ").await;
    sender.send(message("half of it")).await;
    drop(sender);
    let is_closed = |event: &Event| matches!(event, Event::SessionClosed { messages: 0, .. });
    world.until("the session's end", || async { node.has_reported(is_closed) }).await;
    assert_eq!((world.queued().await, world.inbox(ALICE).await.len()), (0, 0));
    world.smtp(&node).await.deliver(&[ALICE], message("another")).await;
    world.until_done().await;
    assert_eq!(world.inbox(ALICE).await.len(), 1);
}

async fn what_a_session_deletes_is_gone_once_it_has_quit(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    let mut sender = world.smtp(&node).await;
    for subject in ["1", "2", "3"] {
        sender.deliver(&[ALICE], message(subject)).await;
        world.until_done().await;
    }
    let mut reader = world.pop3(&node, ALICE).await;
    reader.command("DELE 1", "+OK ").await;
    reader.command("DELE 3", "+OK ").await;
    assert_eq!(world.inbox(ALICE).await.len(), 3);
    reader.quit("+OK ").await;
    let inbox = world.inbox(ALICE).await;
    assert!(inbox.len() == 1 && inbox[0].ends_with(&message("2")), "{} are left", inbox.len());
}
