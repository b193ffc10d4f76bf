//! Verification from end to end.

mod examples;

use super::testing::*;
use super::*;
use crate::model::verdict::DkimResult;

fn results(report: &DkimReport) -> Vec<DkimResult> {
    report.signatures.iter().map(|signature| signature.result).collect()
}
