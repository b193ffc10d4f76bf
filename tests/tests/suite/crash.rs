//! Nothing that was answered 250 is lost, and nothing is doubled in a mailbox: whole engines on a store in memory that
//! die, are cut off, and meet failing requests and broken objects.

mod adoption;
mod broken;

mod checkpoints;
mod clocks;
mod ending;
mod foreign;
mod late;
mod ledger;
mod matrix;
mod permissions;
mod pickup;
mod relaying;
mod side_by_side;
mod starting;
mod trouble;
mod world;
