use std::os::unix::fs::PermissionsExt;

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
