//! What the tests have in common: whole engines in this process and clients that misbehave towards them, and a harness
//! for real processes, which starts servers, sends by real clients, and keeps a ledger of what clients were told against
//! what mailboxes hold.

#![forbid(unsafe_code)]

pub mod case;
pub mod certificate;
pub mod client;
pub mod clients;
pub mod clock;
pub mod cluster_run;
pub mod corpus;
pub mod daemon;
pub mod dice;
pub mod doors;
pub mod fake_s3;
pub mod faults;
pub mod forwarder_case;
pub mod fuzz;
pub mod haproxy;
pub mod hop_cases;
pub mod http_cases;
pub mod issuer;
pub mod ledger;
pub mod ledger_run;
pub mod listing;
pub mod loopback;
pub mod model;
pub mod name_server;
pub mod nmap_cases;
pub mod node;
pub mod nsd;
pub mod openmetrics;
pub mod openspf;
pub mod pop3_client;
pub mod postfix_cases;
pub mod process;
pub mod queue_size;
pub mod relay_run;
pub mod replay_case;
pub mod runtime;
pub mod s3_cases;
pub mod s3_server;
pub mod s3_store;
pub mod scram_client;
pub mod signature_cases;
pub mod sim;
pub mod small_disk;
pub mod smtp_servers;
pub mod submission_cases;
pub mod tls_cases;
pub mod tls_client;
pub mod tokio_runtime;
pub mod world;
pub mod zone;

/// What a step of the harness gives, or why it could not be done.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
