//! Nodes that come to drain the queue and go: what they take over and what they leave alone, how long they stay, and what they cost.

mod crowd;
mod ends;
mod takes;
mod world;
