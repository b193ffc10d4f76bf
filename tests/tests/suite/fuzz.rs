//! The corpora of the fuzz targets, which hold what was found to lead somewhere: nothing in them is a finding any more.

use std::fs;
use std::path::Path;

use fulmar_tests::fuzz::TARGETS;

/// Files and octets that a corpus may have, so that it stays quick to replay and to read.
const MOST_FILES: usize = 60;
const MOST_OCTETS: usize = 2 << 10;

#[test]
fn nothing_in_the_corpora_is_a_finding() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in TARGETS {
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} is not given to the fuzzer");
        let files: Vec<_> = fs::read_dir(fuzz.join("corpus").join(name)).unwrap().collect();
        assert!((1..=MOST_FILES).contains(&files.len()), "{name} has {} files", files.len());
        for file in files {
            let path = file.unwrap().path();
            let octets = fs::read(&path).unwrap();
            assert!(octets.len() <= MOST_OCTETS, "{} is too long", path.display());
            // A test's output is shown where it fails: the last of these is the finding.
            println!("{}", path.display());
            target(&octets);
        }
    }
    let folders = fs::read_dir(fuzz.join("corpus")).unwrap().count();
    assert_eq!(folders, TARGETS.len(), "a corpus without a target");
}
