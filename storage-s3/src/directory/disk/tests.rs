use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::*;

fn disk() -> (tempfile::TempDir, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path()).unwrap();
    (directory, disk)
}

fn payload(text: &'static str) -> Payload {
    Bytes::from_static(text.as_bytes()).into()
}

fn keys(page: Page) -> Vec<String> {
    page.objects.into_iter().map(|listed| listed.key).collect()
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("var/mail");
    Disk::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_file_is_no_directory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Disk::open(file.path()).unwrap_err().to_string(), "not a directory");
}

#[test]
fn files_that_are_being_written_are_not_listed_and_cannot_be_keys() {
    let (directory, disk) = disk();
    disk.put("live/a", &payload("a"), When::Absent).unwrap();
    fs_write(&directory.path().join("live/a#1"), "half");
    fs_write(&directory.path().join("live/with space"), "no key");
    assert_eq!(keys(disk.list("live/", "").unwrap()), ["live/a"]);
    assert!(matches!(disk.put("live/b#1", &payload(""), When::Always), Err(StoreError::Refused(_))));
}

#[test]
fn what_a_dead_writer_left_is_removed_by_a_listing_a_day_later() {
    let (directory, disk) = disk();
    disk.put("live/a", &payload("a"), When::Absent).unwrap();
    for (name, hours, stays) in [("a#1", 23, true), ("b#2", 25, false), ("c", 25, true), ("d#x", 25, true)] {
        let file = directory.path().join("live").join(name);
        fs_write(&file, "half");
        let modified = SystemTime::now() - Duration::from_hours(hours);
        File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        disk.list("", "").unwrap();
        assert_eq!(file.exists(), stays, "{name}");
    }
}

#[test]
fn a_copy_is_dated_by_when_it_was_made() {
    let (directory, disk) = disk();
    disk.put("f/a", &payload("text"), When::Absent).unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(72);
    File::options().write(true).open(directory.path().join("f/a")).unwrap().set_modified(long_ago).unwrap();
    let before = disk.head("f/a").unwrap().modified;
    disk.copy("f/a", "f/b").unwrap();
    assert!(disk.head("f/b").unwrap().modified.since(before) >= Duration::from_hours(71));
    assert_eq!(disk.copy("f/none", "f/c"), Err(StoreError::NotFound));
}

#[test]
fn a_folder_goes_with_the_last_object_in_it_and_the_store_itself_stays() {
    let (directory, disk) = disk();
    for key in ["a/b/1", "a/b/2"] {
        disk.put(key, &payload("text"), When::Absent).unwrap();
    }
    disk.delete("a/b/1").unwrap();
    assert!(directory.path().join("a/b").exists());
    disk.delete("a/b/2").unwrap();
    assert!(!directory.path().join("a").exists() && directory.path().exists());
    disk.put("a/b/3", &payload("text"), When::Absent).unwrap();
}

#[test]
fn folders_and_files_come_in_the_order_of_their_keys() {
    let (_directory, disk) = disk();
    let sorted = ["a-b", "a.b", "a/1", "a/2/x", "a/20", "a0", "b"];
    for key in sorted.iter().rev() {
        disk.put(key, &payload(""), When::Absent).unwrap();
    }
    assert_eq!(keys(disk.list("", "").unwrap()), sorted);
    for (place, key) in sorted.iter().enumerate() {
        assert_eq!(keys(disk.list("", key).unwrap()), sorted[place + 1..], "after {key}");
    }
    assert_eq!(keys(disk.list("", "a/~").unwrap()), ["a0", "b"]);
}

#[test]
fn copying_again_leaves_no_second_link() {
    let (directory, disk) = disk();
    disk.put("f/a", &payload("text"), When::Absent).unwrap();
    disk.copy("f/a", "f/b").unwrap();
    disk.copy("f/a", "f/b").unwrap();
    disk.copy("f/a", "f/a").unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("f")).unwrap().count(), 2);
}

#[test]
fn a_file_of_many_pieces_is_whole_and_stands_alone_in_its_folder() {
    let (directory, disk) = disk();
    // More than the system takes in one call.
    let pieces: Vec<Bytes> = (0..5_000).map(|number| format!("{number} ").into()).collect();
    for when in [When::Absent, When::Always] {
        disk.put("f/a", &pieces.iter().cloned().collect(), when).unwrap();
        assert_eq!(std::fs::read(directory.path().join("f/a")).unwrap(), pieces.concat(), "{when:?}");
    }
    assert_eq!(disk.put("f/a", &payload("other"), When::Absent), Err(StoreError::AlreadyExists));
    assert_eq!(disk.head("f/a").unwrap().size, pieces.concat().len() as u64);
    assert_eq!(std::fs::read_dir(directory.path().join("f")).unwrap().count(), 1);
}

#[test]
fn what_can_never_be_written_is_refused() {
    let (_directory, disk) = disk();
    disk.put("file", &payload("text"), When::Absent).unwrap();
    let long = "x".repeat(300);
    for key in ["file/below", &long] {
        for when in [When::Always, When::Absent] {
            assert!(matches!(disk.put(key, &payload("text"), when), Err(StoreError::Refused(_))), "{key}");
        }
    }
}

#[test]
fn a_failed_write_is_unknown_only_where_it_took_effect_or_cannot_be_told() {
    let (directory, disk) = disk();
    disk.put("key", &Payload::from_iter(["one ", "two"].map(Bytes::from)), When::Absent).unwrap();
    let file = directory.path().join("key");
    let failed = || StoreError::Unavailable("disk error".into());
    for (written, expected) in [
        ("one two", StoreError::Unknown("disk error".into())),
        ("one tw", failed()),
        ("one twx", failed()),
        ("", failed()),
    ] {
        assert_eq!(settle(failed(), holds(&file, &payload(written))), expected, "{written}");
    }
    assert_eq!(settle(failed(), holds(&directory.path().join("none"), &payload(""))), failed());
    assert!(matches!(settle(failed(), Err(io::ErrorKind::Other.into())), StoreError::Unknown(_)));
}

fn fs_write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
