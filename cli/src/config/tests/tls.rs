//! Certificates, and listeners that are encrypted.

use fulmar_core::config::{ClientCertificates, TlsMode, TlsVersion};

use super::*;

fn authorities() -> String {
    let made = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
    made.cert.pem()
}

#[test]
fn what_a_listener_says_of_tls_is_taken_and_shown_as_it_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authorities()).unwrap();
    let file = format!(
        "[[listener]]\nprotocol = \"pop3s\"\naddress = \"[::]:995\"\n\n\
         [[listener]]\nprotocol = \"smtp\"\naddress = \"[::]:25\"\ntls = \"none\"\n\n\
         [[listener]]\nprotocol = \"pop3\"\naddress = \"[::]:110\"\ntls_minimum = \"1.3\"\n\
         client_certificates = \"required\"\nclient_ca = \"{}\"\n\n\
         [[tls.certificates]]\ncertificate = \"b.pem\"\nnames = [\"*.example.org\"]\n",
        ca.display()
    );
    let loaded = Loaded::from_sources(&sources(Some(&file), &[("FULMAR_TLS_CERTIFICATE", "a.pem")])).unwrap();
    assert!(shown(&loaded).ends_with(&file), "{}", shown(&loaded));
    let tls = |index: usize| match &loaded.settings.listeners[index] {
        Listening::Mail(listener) => &listener.tls,
        Listening::Http(_) => panic!(),
    };
    assert_eq!(
        [tls(0).mode, tls(1).mode, tls(2).mode],
        [TlsMode::Implicit, TlsMode::None, TlsMode::StartTls]
    );
    assert_eq!(tls(2).minimum, Some(TlsVersion::V1_3));
    assert!(matches!(tls(2).client_certificates, ClientCertificates::Required(_)));
    let files: Vec<_> = loaded.settings.tls.all().into_iter().map(|paths| paths.certificate).collect();
    assert_eq!(files, [PathBuf::from("a.pem"), PathBuf::from("b.pem")]);
}

#[test]
fn a_mistake_about_tls_names_its_line_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.display();
    let pop3 = "[[listener]]\nprotocol = \"pop3\"\naddress = \"[::]:110\"\n";
    for (file, mistake) in [
        (
            format!("{pop3}tls = \"maybe\""),
            r#"4: [[listener]] tls: "maybe" is unknown; allowed: "none", "starttls", "implicit""#.to_owned(),
        ),
        (
            format!("{pop3}tls_minimum = \"1.1\""),
            r#"4: [[listener]] tls_minimum: "1.1" is unknown; allowed: "1.2", "1.3""#.to_owned(),
        ),
        (
            format!("{pop3}client_certificates = \"required\""),
            r#"4: [[listener]] client_certificates: "required" says nothing without client_ca; allowed: both or neither"#
                .to_owned(),
        ),
        (
            format!("{pop3}client_certificates = \"optional\"\nclient_ca = \"{empty}\""),
            format!(
                "5: [[listener]] client_ca: \"{empty}\" holds no certificate in PEM form; allowed: the name of a file \
                 in PEM form"
            ),
        ),
        (
            "[[listener]]\nprotocol = \"http\"\naddress = \"[::]:80\"\ntls = \"implicit\"".to_owned(),
            r#"4: [[listener]] tls: "implicit" is only for mail; allowed: nothing, where protocol is http"#.to_owned(),
        ),
        (
            "[tls]\nkey = \"key.pem\"".to_owned(),
            "2: [tls] key: stands without certificate; allowed: both or neither".to_owned(),
        ),
        (
            "[[tls.certificates]]\ncertificate = \"a.pem\"\nnames = [\"a b\"]".to_owned(),
            "3: [[tls.certificates]] names: \"a b\" is not a name; allowed: names such as \"mx.example.org\" or \
             \"*.example.org\""
                .to_owned(),
        ),
    ] {
        assert_eq!(load(&file, &[]).unwrap_err(), [format!("fulmar.toml:{mistake}")], "{file}");
    }
}
