//! How names are looked up.

use super::*;

#[test]
fn servers_are_believed_and_expired_answers_given_only_on_order() {
    for (file, validating, stale) in [
        ("", false, "0s"),
        ("[dns]\nvalidating = true\nstale = \"1d\"\n", true, "1d"),
        ("[dns]\nvalidating = false\nstale = \"3d\"\n", false, "3d"),
    ] {
        let loaded = Loaded::from_sources(&sources(Some(file), &[])).unwrap();
        let dns = &loaded.settings.dns;
        assert_eq!((dns.servers.are_validating, Some(dns.stale)), (validating, parse_duration(stale)));
        let shown = shown(&loaded);
        assert!(shown.contains(&format!("validating = {validating}\nstale = {stale:?}\n")), "{shown}");
    }
    let mistakes = load("[dns]\nstale = \"4d\"\n", &[]).unwrap_err();
    assert_eq!(mistakes, ["fulmar.toml:2: [dns] stale: \"4d\" is out of range; allowed: 0s to 3d"]);
}
