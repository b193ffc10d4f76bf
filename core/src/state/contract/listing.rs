//! Cases about listings.

use bytes::Bytes;

use super::ground::{Ground, content, expect_equal};

pub(super) async fn many(ground: &Ground<'_>) -> Result<(), String> {
    // No store gives more than 1,000 on a page.
    const OBJECTS: usize = 1_005;
    let octets = |number: usize| number % 7;
    let objects = (0..OBJECTS).map(|number| (format!("many/{number:04}"), content(octets(number), 0)));
    ground.put_all(objects.collect()).await?;
    ground.put("many2/other", "text").await?;
    let mut found: Vec<_> =
        ground.list("many/").await?.into_iter().map(|listed| (listed.key, listed.size)).collect();
    found.sort_unstable();
    let expected: Vec<_> = (0..OBJECTS)
        .map(|number| (ground.key(&format!("many/{number:04}")), octets(number) as u64))
        .collect();
    // The first difference tells more than two thousand keys would.
    for (found, expected) in found.iter().zip(&expected) {
        expect_equal("key and size", found, expected)?;
    }
    expect_equal("objects", found.len(), expected.len())
}

pub(super) async fn boundaries(ground: &Ground<'_>) -> Result<(), String> {
    let inside = ["live/a", "live/b/c", "live/b/d/e"];
    let outside = ["live.x", "live2/a", "live-/a", "liv/a", "alive/live/a"];
    for name in inside.iter().chain(&outside) {
        ground.put(name, Bytes::new()).await?;
    }
    for (folder, expected) in [
        ("live/", &inside[..]),
        ("live/b/", &inside[1..]),
        ("live/b/d/", &inside[2..]),
        ("live/none/", &[]),
        ("none/", &[]),
    ] {
        let expected = expected.iter().map(|name| name.to_string()).collect();
        expect_equal(folder, ground.names(folder).await?, expected)?;
    }
    expect_equal("all", ground.names("").await?.len(), inside.len() + outside.len())
}

pub(super) async fn skipping(ground: &Ground<'_>) -> Result<(), String> {
    let names = ["a1/log/1", "a1/log/2", "a1/own/1", "b2/log/1", "c3/log/1", "c3/log/2"];
    for name in names {
        ground.put(name, Bytes::new()).await?;
    }
    for (after, expected) in [
        ("a1/log~", &names[2..]),
        ("a1~", &names[3..]),
        ("b2~", &names[4..]),
        ("c3/log/1", &names[5..]),
        ("c3~", &[]),
    ] {
        let expected = expected.iter().map(|name| name.to_string()).collect();
        expect_equal(after, ground.named(ground.list_after("", Some(after)).await?), expected)?;
    }
    Ok(())
}

pub(super) async fn freshness(ground: &Ground<'_>) -> Result<(), String> {
    const ROUNDS: usize = 5;
    ground.put("f/kept", "text").await?;
    for round in 1..=ROUNDS {
        for octets in [round, round + 100] {
            ground.put("f/object", content(octets, 0)).await?;
            let sizes: Vec<_> = ground.list("f/").await?.iter().map(|listed| listed.size).collect();
            expect_equal("sizes after a write", sizes, vec![4, octets as u64])?;
        }
        ground.delete(&["f/object"]).await?;
        expect_equal("names after a deletion", ground.names("f/").await?, vec!["f/kept".to_owned()])?;
    }
    Ok(())
}
