//! Cases about single objects as they are read.

use bytes::Bytes;

use super::ground::{Ground, content, difference, expect_equal, expect_error};
use crate::platform::{Payload, StoreError, When};

const MIB: usize = 1 << 20;

pub(super) async fn round_trip(ground: &Ground<'_>) -> Result<(), String> {
    for octets in [0, 1, MIB + 1] {
        let name = format!("octets-{octets}");
        ground.put(&name, content(octets, 0)).await?;
        ground.expect(&name, &content(octets, 0)).await?;
    }
    let pieces: Payload =
        [1, 70_000, 3, 5_000].into_iter().zip(0..).map(|(len, seed)| content(len, seed)).collect();
    for (name, when) in [("put-in-pieces", When::Always), ("created-in-pieces", When::Absent)] {
        let put = ground.store.put(&ground.key(name), pieces.clone(), when).await;
        put.map_err(|error| format!("put {name}: {error}"))?;
        ground.expect(name, &pieces.to_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn large_object(ground: &Ground<'_>) -> Result<(), String> {
    let large = content(4 * MIB, 0);
    ground.put("large", large.clone()).await?;
    ground.expect("large", &large).await
}

pub(super) async fn missing(ground: &Ground<'_>) -> Result<(), String> {
    ground.put("there/object", "text").await?;
    for name in ["nothing", "nowhere/nothing", "there/object2", "there/objec"] {
        let key = ground.key(name);
        expect_error("get", ground.store.get(&key, None), StoreError::NotFound).await?;
        expect_error("get of a range", ground.store.get(&key, Some(0..10)), StoreError::NotFound).await?;
        expect_error("get of an empty range", ground.store.get(&key, Some(3..3)), StoreError::NotFound)
            .await?;
        expect_error("head", ground.store.head(&key), StoreError::NotFound).await?;
    }
    Ok(())
}

pub(super) async fn ranges(ground: &Ground<'_>) -> Result<(), String> {
    const OCTETS: usize = 1_000;
    let whole = content(OCTETS, 0);
    ground.put("object", whole.clone()).await?;
    ground.put("empty", Bytes::new()).await?;
    for (name, range, part) in [
        ("object", 0..1_000, 0..1_000),
        ("object", 0..1, 0..1),
        ("object", 400..460, 400..460),
        ("object", 999..1_000, 999..1_000),
        ("object", 990..5_000, 990..1_000),
        ("object", 0..0, 0..0),
        ("object", 500..500, 0..0),
        ("object", 1_000..1_001, 0..0),
        ("object", 5_000..6_000, 0..0),
        ("empty", 0..0, 0..0),
        ("empty", 0..10, 0..0),
        ("empty", 5..10, 0..0),
    ] {
        let found = ground.store.get(&ground.key(name), Some(range.clone())).await;
        let found = found.map_err(|error| format!("octets {range:?} of {name}: {error}"))?;
        if found.bytes != whole[part.clone()] {
            return Err(format!("octets {range:?} of {name}: {}", difference(&found.bytes, &whole[part])));
        }
        let size = if name == "empty" { 0 } else { OCTETS as u64 };
        expect_equal("size of the whole object, told with a range", found.size, size)?;
    }
    Ok(())
}

pub(super) async fn agreement(ground: &Ground<'_>) -> Result<(), String> {
    for octets in [0, 5_000] {
        let name = format!("octets-{octets}");
        ground.put(&name, content(octets, 0)).await?;
        let key = ground.key(&name);
        let read = ground.store.get(&key, None).await.map_err(|error| format!("get: {error}"))?;
        let part = ground.store.get(&key, Some(0..1)).await.map_err(|error| format!("get: {error}"))?;
        let head = ground.head(&name).await?;
        let listed = ground.list("").await?.into_iter().find(|listed| listed.key == key);
        expect_equal("key in head", &head.key, &key)?;
        expect_equal(
            "size",
            (read.size, part.size, head.size),
            (octets as u64, octets as u64, octets as u64),
        )?;
        expect_equal("ETag of get and head", &read.etag, &head.etag)?;
        expect_equal("ETag of a range and head", &part.etag, &head.etag)?;
        // Stores tell milliseconds in one place and whole seconds in the other.
        let seconds = |time: crate::model::UtcTime| time.0 / 1_000;
        expect_equal("last modified", seconds(read.modified), seconds(head.modified))?;
        let Some(listed) = listed else { return Err("the object is not in the listing".into()) };
        expect_equal("size in the listing", listed.size, octets as u64)?;
        expect_equal("ETag in the listing", &listed.etag, &head.etag)?;
        expect_equal("last modified in the listing", seconds(listed.modified), seconds(head.modified))?;
    }
    Ok(())
}

pub(super) async fn special_keys(ground: &Ground<'_>) -> Result<(), String> {
    let long = "n".repeat(200);
    // Pairs that a store would take for one where it decodes keys on the way.
    let mut names =
        ["a@b.example", "a%40b.example", "a%2540b.example", "x+y", "x%20y", "x%2By", "p/q", "p%2Fq"]
            .into_iter()
            .chain(["k=v", "_", "-", "...", "a..b", "100%", "%", "tilde~", "UPPER", &long])
            .map(str::to_owned)
            .collect::<Vec<_>>();
    names.sort_unstable();
    for name in &names {
        ground.put(name, name.clone()).await?;
    }
    for name in &names {
        ground.expect(name, name.as_bytes()).await?;
        expect_equal("key in head", ground.head(name).await?.key, ground.key(name))?;
    }
    expect_equal("keys in the listing", ground.names("").await?, names)
}

pub(super) async fn modified(ground: &Ground<'_>) -> Result<(), String> {
    let mut last = None;
    for name in ["one", "two", "one", "three", "two"] {
        ground.put(name, name).await?;
        let modified = ground.head(name).await?.modified;
        if let Some(last) = last.filter(|last| *last > modified) {
            return Err(format!("{name} was written after {last}, and is said to be of {modified}"));
        }
        last = Some(modified);
    }
    Ok(())
}
