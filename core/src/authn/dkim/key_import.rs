//! Private keys that other programs made.

use futures_rustls::pki_types::PrivateKeyDer;
use futures_rustls::pki_types::pem::PemObject;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;

use super::SigningError;

/// The first private key of a file in PEM form, as PKCS#8 in DER: `PRIVATE KEY` as it is, `RSA PRIVATE KEY`, which OpenSSL and the tools of
/// other mail servers wrote for long, converted. Whether it can sign is for [`SigningKey`](super::SigningKey) to say.
pub fn private_key_from_pem(pem: &[u8]) -> Result<Vec<u8>, SigningError> {
    match PrivateKeyDer::from_pem_slice(pem).map_err(|_| SigningError::NoKey)? {
        PrivateKeyDer::Pkcs8(key) => Ok(key.secret_pkcs8_der().to_vec()),
        PrivateKeyDer::Pkcs1(key) => {
            let key =
                RsaPrivateKey::from_pkcs1_der(key.secret_pkcs1_der()).map_err(|_| SigningError::NoKey)?;
            Ok(key.to_pkcs8_der().map_err(|_| SigningError::NoKey)?.as_bytes().to_vec())
        }
        _ => Err(SigningError::NoKey),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rsa::pkcs1::EncodeRsaPrivateKey;
    use rsa::pkcs8::DecodePrivateKey;

    use super::super::testing::{Dice, RSA_2048};
    use super::super::{SigningKey, generate_ed25519};
    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        let lines: Vec<_> =
            base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    #[test]
    fn keys_are_read_in_both_forms_and_nothing_else_is_a_key() {
        let rsa = STANDARD.decode(RSA_2048.concat()).unwrap();
        let pkcs1 = RsaPrivateKey::from_pkcs8_der(&rsa).unwrap().to_pkcs1_der().unwrap();
        let ed25519 = generate_ed25519(&Dice::new(7));
        for (text, expected) in [
            (pem("PRIVATE KEY", &rsa), Some(&rsa)),
            (pem("RSA PRIVATE KEY", pkcs1.as_bytes()), Some(&rsa)),
            (format!("a comment\r\n{}", pem("PRIVATE KEY", &ed25519)), Some(&ed25519)),
            (pem("RSA PRIVATE KEY", &rsa), None),
            (pem("PUBLIC KEY", &rsa), None),
            (String::new(), None),
            ("-----BEGIN PRIVATE KEY-----\n".to_owned(), None),
        ] {
            let read = private_key_from_pem(text.as_bytes()).ok();
            let public = |der: &Vec<u8>| SigningKey::from_pkcs8(der).unwrap().public_record();
            assert_eq!(read.as_ref().map(public), expected.map(public), "{text}");
        }
    }
}
