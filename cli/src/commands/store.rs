//! `fulmar store`.

use fulmar_core::admin::prices::dollars;
use serde_json::json;

use super::Context;
use crate::arguments::StoreCommand;
use crate::failure::Failure;

pub(super) async fn store(context: &Context, command: StoreCommand) -> Result<(), Failure> {
    let StoreCommand::Check = command;
    let (verdicts, requests) = context.admin().store_check().await;
    for verdict in &verdicts {
        let (case, reason) = (&verdict.case, verdict.outcome.as_ref().err());
        let words =
            reason.map_or_else(|| format!("ok      {case}"), |reason| format!("FAILED  {case}: {reason}"));
        context.output.fact(&words, &json!({"case": case, "passed": reason.is_none(), "reason": reason}))?;
    }
    let writes = requests.put + requests.copy + requests.list;
    let reads = requests.get + requests.head;
    let spent = dollars(&requests);
    context.output.remark(&format!("requests    {writes} writes, {reads} reads, ${spent:.6}"))?;
    let failed = verdicts.iter().filter(|verdict| verdict.outcome.is_err()).count();
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{failed} of {} cases failed: mail would not be safe on {}",
            verdicts.len(),
            context.settings.store
        ))),
    }
}
