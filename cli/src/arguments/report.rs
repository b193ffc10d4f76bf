//! What may be typed about reports of others.

use clap::Subcommand;
use fulmar_core::model::Domain;

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// List the reports
    ///
    /// DMARC is what verification of the report's own mail came to: unless it is `pass`, nobody knows who wrote it.
    List {
        /// Only those about this domain
        domain: Option<Domain>,
    },
    /// Show what a report tells
    Show {
        /// Its name, as listed
        id: String,
    },
}
