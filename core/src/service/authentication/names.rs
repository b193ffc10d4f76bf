//! Whom a login name means.

use crate::model::Address;
use crate::service::Context;
use crate::state::StateError;

/// The account that a name would be of, be it there or not; nothing for what can be none.
pub(super) async fn account(context: &Context, name: &str) -> Result<Option<Address>, StateError> {
    if name.contains('@') {
        return Ok(Address::parse(name).ok().map(|address| address.normalized()));
    }
    let domain = match &context.config.auth.default_domain {
        Some(domain) => Some(domain.clone()),
        None => context.directory.only_domain().await?,
    };
    let address = domain.and_then(|domain| Address::parse(&format!("{name}@{domain}")).ok());
    Ok(address.map(|address| address.normalized()))
}
