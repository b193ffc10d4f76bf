//! Looks after the other nodes and after what is left behind: the signs of life, operators' orders, and logs to be adopted.
//!
//! | a node | lists `live/` |
//! |---|---|
//! | while some node announces 10 s, if it is one of the three that watch, or has not just seen a sign of life of each of those | every 10 s |
//! | while it sees a heartbeat that is late by the store's clock | every 10 s |
//! | otherwise | every minute; the one that looks into `pickup/` lists `live/` and that folder in turns |

mod housekeeping;
mod orders;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, join, select};
use futures::pin_mut;

use super::Context;
use super::pickup::Pickup;
use crate::model::Incarnation;
use crate::platform::Host;
use housekeeping::keep_house;
pub(super) use watch::{ReadBeat, read_beat};
pub use watch::{Released, Seen, Watch};

/// Pause between listings while there is somebody to watch.
const WATCHING: Duration = Duration::from_secs(10);
/// Pause between listings otherwise.
const IDLE: Duration = Duration::from_mins(1);

/// Runs until the node shuts down.
pub async fn run(context: Arc<Context>, host: Host, shutdown: Receiver<Infallible>) {
    let (found, unattended) = async_channel::unbounded();
    let watching = look_after(context.clone(), host, shutdown.clone(), unattended);
    join(watching, keep_house(context, shutdown, found)).await;
}

/// Watches, and looks into `pickup/`. A node that has nothing to do lists but one of the two a minute.
async fn look_after(
    context: Arc<Context>,
    host: Host,
    shutdown: Receiver<Infallible>,
    unattended: Receiver<Incarnation>,
) {
    let clock = context.requests.platform().clock.clone();
    let mut watch = Watch::new(context.clone(), host);
    let mut pickup = Pickup::new(context.clone());
    let (mut pause, mut is_first, mut turn) = (Duration::ZERO, true, Turn::Both);
    loop {
        while let Ok(log) = unattended.try_recv() {
            watch.add_unattended(log);
        }
        if turn != Turn::Pickup {
            pause = match watch.round(Released::AtOnce).await {
                Ok(seen) => {
                    is_first = seen.is_first;
                    if seen.is_watching { WATCHING } else { IDLE }
                }
                Err(_) => WATCHING,
            };
        }
        // After the watch: what a dead node had taken is known once its log has been adopted. A store that cannot be listed has been
        // reported, and is asked again in the next round.
        if is_first && turn != Turn::Watch {
            let _ = pickup.round().await;
        }
        let was_holding = is_holding(&context).await;
        turn = match turn {
            _ if !is_first || pause != IDLE || was_holding => Turn::Both,
            Turn::Both | Turn::Watch => Turn::Pickup,
            Turn::Pickup => Turn::Watch,
        };
        let until = clock.instant() + pause;
        while clock.instant() < until {
            let (rest, end) = (clock.sleep_until(until.min(clock.instant() + WATCHING)), shutdown.recv());
            pin_mut!(rest, end);
            if let Either::Right(_) = select(rest, end).await {
                return;
            }
            // Whoever has mail now has to know how many nodes share the work, and an operator's orders are not to wait for so long.
            if !was_holding && is_holding(&context).await {
                turn = Turn::Both;
                break;
            }
        }
        // One that stays for longer than a moment is to be counted.
        if context.spool.belong().await.is_err() {
            return;
        }
    }
}

/// What is looked at in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Both,
    Watch,
    Pickup,
}

/// Whether somebody would have to take over if this node were gone.
async fn is_holding(context: &Context) -> bool {
    context.spool.current().await.is_some_and(|current| current.is_holding)
}
