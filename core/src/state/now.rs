//! What time it is by the store's clock, for those who have no heartbeat that would tell.

use super::layout;
use super::requests::Requests;
use crate::model::{Nonce, UtcTime};
use crate::platform::{Payload, StoreError};

/// Writes an object, asks for its date, and deletes it: three requests. What is left of it where this breaks off goes away like other
/// traces of tests of the store.
pub async fn store_now(requests: &Requests) -> Result<UtcTime, StoreError> {
    let (at, entropy) = requests.platform().draw();
    let key = layout::check(Nonce::draw(at, entropy)) + "now";
    requests.put(&key, &Payload::default()).await?;
    let now = match requests.head(&key).await? {
        Some(listed) => listed.modified,
        None => return Err(StoreError::Unavailable(format!("{key} is gone"))),
    };
    requests.delete(&[key]).await?;
    Ok(now)
}
