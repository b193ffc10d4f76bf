//! `fulmar fsck`.

use fulmar_core::admin::prices::{dollars, dollars_per_month};
use fulmar_core::admin::{Amount, Audit, Finding, Found};
use fulmar_core::state::requests::RequestCounts;
use serde_json::{Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn fsck(context: &Context, repair: bool) -> Result<(), Failure> {
    let output = context.output;
    // The audit goes on though nobody reads what it finds.
    let mut told = Ok(());
    let mut look = |found: &Found| {
        if told.is_ok() {
            told = tell(output, found);
        }
    };
    let audit = context.admin().fsck(repair, &mut look).await?;
    told?;
    summarise(output, &audit, repair)?;
    if audit.is_sound() {
        return Ok(());
    }
    let Audit { dangling, damaged, .. } = audit;
    Err(Failure::Failed(format!("{} objects are missing and {} damaged", dangling.objects, damaged.objects)))
}

fn tell(output: Output, found: &Found) -> std::io::Result<()> {
    let Found { finding, key, objects, octets, reason } = found;
    let name = name(*finding);
    let words =
        format!("{name:<12}{key}  {}: {reason}", amount(&Amount { objects: *objects, octets: *octets }));
    let object =
        json!({ "finding": name, "key": key, "objects": objects, "octets": octets, "reason": reason });
    output.fact(&words, &object)
}

fn summarise(output: Output, audit: &Audit, repair: bool) -> std::io::Result<()> {
    let Audit { total, unreachable, waiting, dangling, damaged, foreign, deleted, .. } = audit;
    let per_month = |amount: &Amount| dollars_per_month(amount.octets);
    let requests = audit.requests;
    let writes = requests.put + requests.copy + requests.list;
    let spent = dollars(&requests);
    // A repair looks through everything as this audit has, writes one commit in each account with unneeded bodies, and deletes.
    let commits = RequestCounts { put: audit.fences, ..RequestCounts::default() };
    let repair_cost = if repair { 0.0 } else { spent + dollars(&commits) };
    let lines = [
        format!("objects     {}, ${:.6} a month", amount(total), per_month(total)),
        format!("unreachable {}, ${:.6} a month", amount(unreachable), per_month(unreachable)),
        format!("waiting     {}", amount(waiting)),
        format!("dangling    {}", dangling.objects),
        format!("damaged     {}", amount(damaged)),
        format!("foreign     {}", amount(foreign)),
        format!("requests    {writes} writes, {} reads, ${spent:.6}", requests.get + requests.head),
        if repair {
            format!("deleted     {}", amount(deleted))
        } else {
            format!(
                "a repair would take {} commits, free deletions, and the same reads: ${repair_cost:.6}",
                audit.fences
            )
        },
    ];
    let object = json!({
        "total": figures(total),
        "unreachable": figures(unreachable),
        "waiting": figures(waiting),
        "dangling": figures(dangling),
        "damaged": figures(damaged),
        "foreign": figures(foreign),
        "deleted": figures(deleted),
        "dollars_per_month": per_month(total),
        "unreachable_dollars_per_month": per_month(unreachable),
        "requests": requests,
        "requests_dollars": spent,
        "repair_dollars": repair_cost,
    });
    output.fact(&lines.join("\n"), &object)
}

fn name(finding: Finding) -> &'static str {
    match finding {
        Finding::Unreachable => "unreachable",
        Finding::Waiting => "waiting",
        Finding::Dangling => "dangling",
        Finding::Damaged => "damaged",
        Finding::Foreign => "foreign",
    }
}

fn amount(amount: &Amount) -> String {
    let Amount { objects, octets } = amount;
    let plural = if *objects == 1 { "" } else { "s" };
    format!("{objects} object{plural}, {octets} octets")
}

fn figures(amount: &Amount) -> Value {
    json!({ "objects": amount.objects, "octets": amount.octets })
}
