//! The servers that tests bring with them do what tests expect of them.

mod fake_s3;
mod name_server;
mod sink;
