//! Load balancers of listeners.

use super::*;

#[test]
fn balancers_are_networks_and_only_of_mail() {
    for (file, mistake) in [
        (
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::1]:25\"\nproxy_protocol_from = [\n  \"lb1\"]",
            "5: [[listener]] proxy_protocol_from: \"lb1\" is not a network; allowed: networks such as \
             \"10.0.0.0/8\" or \"::1/128\"",
        ),
        (
            "[[listener]]\nprotocol = \"http\"\naddress = \"[::1]:80\"\nproxy_protocol_from = [\"::1/128\"]",
            "4: [[listener]] proxy_protocol_from: a list is only for mail; allowed: nothing, where protocol is http",
        ),
    ] {
        assert_eq!(load(file, &[]).unwrap_err(), [format!("fulmar.toml:{mistake}")], "{file}");
    }
}

#[test]
fn the_balancers_of_a_listener_are_shown_as_they_were_said() {
    let file = "[[listener]]\nprotocol = \"smtp\"\naddress = \"[::]:25\"\n\
                proxy_protocol_from = [\"10.0.0.0/8\", \"fd00::/8\"]\n";
    let loaded = Loaded::from_sources(&sources(Some(file), &[])).unwrap();
    assert!(shown(&loaded).ends_with(file), "{}", shown(&loaded));
    let [Listening::Mail(listener)] = &loaded.settings.listeners[..] else { panic!() };
    for (peer, expects) in
        [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("fd00::1", true), ("11.0.0.1", false)]
    {
        assert_eq!(listener.expects_proxy_header(peer.parse().unwrap()), expects, "{peer}");
    }
}
