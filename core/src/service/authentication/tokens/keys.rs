//! Keys of issuers (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2), and signatures that they verify.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys of one issuer, at most.
const KEYS: usize = 100;
/// An uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The keys of an issuer that can be used here. Others are passed over.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK Set; nothing where it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let set: JwkSet = serde_json::from_slice(text).ok()?;
        let keys = set.keys.into_iter().take(KEYS);
        Some(Self(keys.filter_map(|key| Key::of(serde_json::from_value(key).ok()?)).collect()))
    }

    /// Whether there is a key of this name. A token that names none may be of any.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        self.candidates(id).next().is_some()
    }

    /// Whether one of the keys of this name has signed this, in the way that the token says.
    pub(super) fn verifies(
        &self,
        id: Option<&str>,
        algorithm: &str,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        self.candidates(id).any(|key| key.material.verifies(algorithm, message, signature))
    }

    fn candidates(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let Jwk { kty, kid: id, purpose, crv, n, e, x, y } = jwk;
        if purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let material = match (kty.as_str(), crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: decode(&n?)?, e: decode(&e?)? },
            ("EC", Some("P-256")) => {
                Material::P256([&[UNCOMPRESSED][..], &decode(&x?)?, &decode(&y?)?].concat())
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(decode(&x?)?),
            _ => return None,
        };
        Some(Self { id, material })
    }
}

impl Material {
    /// The kind of the key decides with the algorithm: a token cannot make one key be taken for another kind (RFC 8725 §3.1).
    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Rsa { n, e }, "RS256") => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            (Self::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (Self::Ed25519(key), "EdDSA") => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// base64url without padding (RFC 7515 §2).
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const JOE: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// Examples of RFC 7515 §A.2 and §A.3, and of RFC 8037 §A.4.
    #[test]
    fn the_examples_of_the_rfcs_verify_and_changed_ones_do_not() {
        for (key, algorithm, message, signature) in [
            (
                RSA,
                "RS256",
                format!("eyJhbGciOiJSUzI1NiJ9.{JOE}"),
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            ),
            (
                EC,
                "ES256",
                format!("eyJhbGciOiJFUzI1NiJ9.{JOE}"),
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                ED,
                "EdDSA",
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ] {
            let set = KeySet::parse(format!("{{\"keys\":[{key}]}}").as_bytes()).unwrap();
            let signature = decode(signature).unwrap();
            assert!(set.verifies(None, algorithm, message.as_bytes(), &signature), "{algorithm}");
            assert!(!set.verifies(None, algorithm, &message.as_bytes()[1..], &signature), "{algorithm}");
            for other in
                ["none", "HS256", "RS256", "ES256", "EdDSA"].iter().filter(|other| **other != algorithm)
            {
                assert!(!set.verifies(None, other, message.as_bytes(), &signature), "{algorithm} as {other}");
            }
        }
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over_and_names_tell_keys_apart() {
        let named = RSA.replacen('{', "{\"kid\":\"a\",", 1);
        let other = r#"{"kty":"oct","k":"AA"},{"kty":"RSA","use":"enc","n":"AQ","e":"AQ"},7"#;
        let set = KeySet::parse(format!("{{\"keys\":[{other},{named},{ED}]}}").as_bytes()).unwrap();
        assert_eq!(set.0.len(), 2);
        assert!(set.knows(Some("a")) && set.knows(None) && !set.knows(Some("b")));
        assert!(KeySet::parse(b"[]").is_none());
    }
}
