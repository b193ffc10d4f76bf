//! People who read their mail by POP3, and delete some of it.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use fulmar_core::model::Address;
use fulmar_core::platform::{Instant, Net, Stream, Target};
use futures::future::{Either, select};
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use futures::pin_mut;

use super::crew::Crew;
use super::ground::PASSWORD;
use super::history::{Fact, Place};

/// How long a visit may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// Reads the list of an account's messages at a node, and deletes one in so many.
pub async fn visit(crew: &Crew, net: &dyn Net, account: Address, place: Place, deletes_one_in: usize) {
    let late = crew.simulator.sleep(PATIENCE);
    let visiting = session(crew, net, &account, place, deletes_one_in);
    pin_mut!(visiting);
    // However it ends: what was seen and done is on record.
    if let Either::Left((Err(error), _)) = select(visiting, late).await {
        crew.simulator.note(format_args!("the visit of {account} fails: {error}"));
    }
}

async fn session(
    crew: &Crew,
    net: &dyn Net,
    account: &Address,
    place: Place,
    deletes_one_in: usize,
) -> io::Result<()> {
    let (_, server) = crew.addresses(place);
    let deadline = Instant::from_origin(crew.simulator.now() + PATIENCE);
    let mut stream = BufReader::new(net.connect(&Target::Address(server), deadline).await?);
    expect(&mut stream).await?;
    let node = crew.node(place);
    command(&mut stream, &format!("USER {account}")).await?;
    command(&mut stream, &format!("PASS {PASSWORD}")).await?;
    command(&mut stream, "UIDL").await?;
    let mut validity = 0;
    let mut uids = Vec::new();
    loop {
        let line = line(&mut stream).await?;
        if line == "." {
            break;
        }
        let parts = line.split_once(' ').and_then(|(_, id)| id.split_once('.'));
        let parsed = parts.and_then(|(validity, uid)| Some((validity.parse().ok()?, uid.parse().ok()?)));
        let (of, uid): (u64, u32) = parsed.ok_or_else(|| io::Error::other(format!("UIDL says {line:?}")))?;
        validity = of;
        uids.push(uid);
    }
    let shown = (validity, uids.clone());
    crew.recorder.record(Fact::Read { account: account.clone(), node: Some(node), shown });
    let mut deleted = BTreeSet::new();
    for (place, uid) in uids.iter().enumerate() {
        if crew.simulator.chance(|dice| dice.below(deletes_one_in)) == 0 {
            command(&mut stream, &format!("DELE {}", place + 1)).await?;
            deleted.insert(*uid);
        }
    }
    let record = |is_acknowledged| {
        let (account, uids) = (account.clone(), deleted.clone());
        crew.recorder.record(Fact::Deleted { account, uids, is_acknowledged });
    };
    // Whatever becomes of the answer.
    record(false);
    command(&mut stream, "QUIT").await?;
    record(true);
    Ok(())
}

async fn command(stream: &mut BufReader<Box<dyn Stream>>, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    expect(stream).await
}

async fn expect(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<()> {
    let reply = line(stream).await?;
    if reply.starts_with("+OK") { Ok(()) } else { Err(io::Error::other(reply)) }
}

async fn line(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if line.ends_with("\r\n") {
        Ok(line.trim_end().to_owned())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
