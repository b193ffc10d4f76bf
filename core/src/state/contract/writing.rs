//! Cases about what writes, deletions and copies do to one another.

use bytes::Bytes;
use futures::future::{join, join_all};

use super::ground::{Ground, content, expect_equal, expect_error};
use crate::platform::{StoreError, When};

pub(super) async fn create(ground: &Ground<'_>) -> Result<(), String> {
    for name in ["created", "folder/created"] {
        let created = ground.put_when(name, "first", When::Absent).await;
        created.map_err(|error| format!("create where nothing is: {error}"))?;
    }
    ground.put("put", "first").await?;
    ground.put("empty", Bytes::new()).await?;
    for (name, held) in [("created", "first"), ("folder/created", "first"), ("put", "first"), ("empty", "")] {
        let again = ground.put_when(name, "second", When::Absent);
        expect_error("create where an object is", again, StoreError::AlreadyExists).await?;
        // Even the same content: who wrote it is told by the nonce, not by the store.
        let again = ground.put_when(name, held, When::Absent);
        expect_error("create of what is there", again, StoreError::AlreadyExists).await?;
        ground.expect(name, held.as_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn overwrite(ground: &Ground<'_>) -> Result<(), String> {
    let mut last = None;
    for (octets, seed) in [(10, 1), (5_000, 2), (5_000, 3), (3, 4), (0, 5)] {
        ground.put("object", content(octets, seed)).await?;
        ground.expect("object", &content(octets, seed)).await?;
        let head = ground.head("object").await?;
        expect_equal("size", head.size, octets as u64)?;
        if !head.etag.is_empty() && last.as_ref() == Some(&head.etag) {
            return Err(format!("the content changed and the ETag {} did not", head.etag));
        }
        last = Some(head.etag);
    }
    Ok(())
}

pub(super) async fn overwrite_beside_readers(ground: &Ground<'_>) -> Result<(), String> {
    const OVERWRITES: usize = 10;
    const READS: usize = 10;
    const READERS: usize = 4;
    // Large enough to arrive in several parts, and of different lengths.
    let contents = [content(300_000, 1), content(200_000, 2)];
    ground.put("object", contents[0].clone()).await?;
    let write = async {
        for round in 1..=OVERWRITES {
            ground.put("object", contents[round % 2].clone()).await?;
        }
        Ok(())
    };
    let read = async || {
        for _ in 0..READS {
            let found = ground.read("object").await?;
            if !contents.contains(&found) {
                return Err(format!("{} octets were read that nobody wrote together", found.len()));
            }
        }
        Ok(())
    };
    let readers = (0..READERS).map(|_| read());
    let (written, read) = join(write, join_all(readers)).await;
    read.into_iter().fold(written, Result::and)
}

pub(super) async fn delete(ground: &Ground<'_>) -> Result<(), String> {
    const OBJECTS: usize = 20;
    let names: Vec<_> = (0..OBJECTS).map(|number| format!("{number:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    ground
        .put_all(names.iter().map(|name| (name.to_string(), Bytes::from_static(b"text"))).collect())
        .await?;
    ground.put("kept", "text").await?;
    ground.delete(&[]).await?;
    // Alone, again, among others that exist, and all once more.
    ground.delete(&names[..1]).await?;
    ground.delete(&names[..1]).await?;
    ground.delete(&names).await?;
    ground.delete(&names).await?;
    for name in &names {
        expect_error(
            "get of a deleted object",
            ground.store.get(&ground.key(name), None),
            StoreError::NotFound,
        )
        .await?;
    }
    ground.expect("kept", b"text").await
}

pub(super) async fn copy(ground: &Ground<'_>) -> Result<(), String> {
    let original = content(100_000, 1);
    ground.put("original", original.clone()).await?;
    ground.put("taken", "what was there").await?;
    for to in ["free", "folder/free", "taken", "taken"] {
        let copied = ground.store.copy(&ground.key("original"), &ground.key(to)).await;
        copied.map_err(|error| format!("copy to {to}: {error}"))?;
        ground.expect(to, &original).await?;
        expect_equal("size of the copy", ground.head(to).await?.size, original.len() as u64)?;
    }
    // The copies are objects of their own.
    ground.put("taken", "overwritten").await?;
    ground.expect("original", &original).await?;
    ground.delete(&["original"]).await?;
    ground.expect("free", &original).await?;
    for to in ["taken", "nothing"] {
        let copy = async { ground.store.copy(&ground.key("original"), &ground.key(to)).await };
        expect_error("copy of a missing object", copy, StoreError::NotFound).await?;
    }
    ground.expect("taken", b"overwritten").await?;
    expect_error("head", ground.store.head(&ground.key("nothing")), StoreError::NotFound).await
}
