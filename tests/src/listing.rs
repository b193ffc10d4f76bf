//! What there is in a store, by name.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use fulmar_core::platform::Store;

/// The keys of all objects below a folder, in the store's order.
///
/// # Panics
///
/// Where the store cannot be listed.
pub async fn keys(store: &dyn Store, folder: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.list(folder, keys.last().map(String::as_str)).await.expect("a page");
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if !page.more {
            return keys;
        }
    }
}
