//! `fulmar account app-password`.

use fulmar_core::state::account::credentials::Scope;
use serde_json::json;

use super::Context;
use crate::arguments::AppPasswordCommand;
use crate::failure::Failure;

pub(super) async fn app_password(context: &Context, command: AppPasswordCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        AppPasswordCommand::Add { address, name, scope } => {
            let scopes = if scope.is_empty() { Scope::ALL.into() } else { scope.into_iter().collect() };
            let (id, password) = admin.app_password_add(&address, &name, &scopes).await?;
            let password = password.expose();
            let words = format!("{address} has app password {id} ({name})\npassword: {password}");
            output
                .fact(&words, &json!({"address": address, "id": id, "name": name, "password": password}))?;
        }
        AppPasswordCommand::List { address } => output.list(
            &admin.app_passwords(&address).await?,
            ["ID", "NAME", "SCOPES", "CREATED"],
            |app| {
                [app.id.to_string(), app.name.clone(), names(&app.scopes).join(" "), app.created.to_rfc3339()]
            },
            |app| {
                let (scopes, created) = (names(&app.scopes), app.created.to_rfc3339());
                json!({"id": app.id, "name": app.name, "scopes": scopes, "created": created})
            },
        )?,
        AppPasswordCommand::Remove { address, id } => {
            admin.app_password_remove(&address, id).await?;
            let words = format!("app password {id} of {address} removed");
            output.fact(&words, &json!({"address": address, "id": id, "removed": true}))?;
        }
    }
    Ok(())
}

fn names(scopes: &[Scope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.name()).collect()
}
