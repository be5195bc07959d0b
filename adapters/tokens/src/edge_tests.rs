//! Attacks on the gateway's verification.

use jsonwebtoken::EncodingKey;
use novagate_kernel::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;
use crate::forge::{OTHER, SECRET, forge, forge_text, hmac, unsigned};

const EXP: i64 = 1_767_323_045;

fn claims() -> Value {
    json!({"sub": "ada", "exp": EXP, "nbf": EXP - 60, "iss": "https://issuer.example", "aud": ["api", "other"], "role": {"x": 1}})
}

fn with_secret() -> EdgeTokenVerifier {
    EdgeTokenVerifier::new(Some(SECRET), &[]).unwrap()
}

fn with_key(key: &KeyPair) -> EdgeTokenVerifier {
    EdgeTokenVerifier::new(None, &[PublicKeyFile { kid: "main", pem: &key.public_key_pem() }]).unwrap()
}

fn rsa() -> KeyPair {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
}

fn rsa_key(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap()
}

fn ec_key(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap()
}

fn signed(word: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    forge(&json!({"alg": word, "typ": "JWT"}), &claims(), key, algorithm)
}

fn hs(claims: &Value) -> String {
    forge(&json!({"alg": "HS256"}), claims, &hmac(SECRET), Algorithm::HS256)
}

#[test]
fn a_token_says_what_it_says() {
    let facts = with_secret().verify(&hs(&claims())).unwrap();
    assert_eq!(facts.subject.as_deref(), Some("ada"));
    assert_eq!(facts.expires_at, Some(Timestamp::from_seconds(EXP)));
    assert_eq!(facts.not_before, Some(Timestamp::from_seconds(EXP - 60)));
    assert_eq!(facts.issuer.as_deref(), Some("https://issuer.example"));
    assert_eq!(facts.audiences.len(), 2);
    let facts = with_secret().verify(&hs(&json!({"exp": 1.5, "aud": "api"}))).unwrap();
    assert_eq!(facts.expires_at, Some(Timestamp::from_micros(1_500_000)));
    assert_eq!((facts.subject, facts.audiences.len()), (None, 1));
}

#[test]
fn time_issuer_and_audience_are_not_decided_here() {
    for claims in
        [json!({"exp": 1}), json!({"exp": EXP, "nbf": i64::MAX}), json!({"exp": i64::MAX}), json!({"exp": -1})]
    {
        assert!(with_secret().verify(&hs(&claims)).is_ok(), "{claims}");
    }
}

#[test]
fn a_token_without_expiry_or_with_mistyped_claims_is_refused() {
    for claims in [
        json!({}),
        json!([]),
        json!({"exp": null}),
        json!({"exp": "1767323045"}),
        json!({"exp": -1.5}),
        json!({"exp": EXP, "sub": 7}),
        json!({"exp": EXP, "sub": null}),
        json!({"exp": EXP, "nbf": "0"}),
        json!({"exp": EXP, "nbf": null}),
        json!({"exp": EXP, "iss": ["a", "b"]}),
        json!({"exp": EXP, "aud": 1}),
        json!({"exp": EXP, "aud": [1]}),
        json!({"exp": EXP, "aud": {"api": true}}),
    ] {
        assert_eq!(with_secret().verify(&hs(&claims)).err(), Some(VerifyFault), "{claims}");
    }
    let twice = forge_text(r#"{"alg":"HS256"}"#, r#"{"exp":1,"exp":9999999999}"#, &hmac(SECRET), Algorithm::HS256);
    assert!(with_secret().verify(&twice).is_err());
}

#[test]
fn every_kind_of_key_verifies_its_own_algorithms_only() {
    let rsa = rsa();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ed_key = EncodingKey::from_ed_pem(ed.serialize_pem().as_bytes()).unwrap();
    let tokens = [
        ("HS256", signed("HS256", &hmac(SECRET), Algorithm::HS256)),
        ("RS256", signed("RS256", &rsa_key(&rsa), Algorithm::RS256)),
        ("PS256", signed("PS256", &rsa_key(&rsa), Algorithm::PS256)),
        ("ES256", signed("ES256", &ec_key(&p256), Algorithm::ES256)),
        ("EdDSA", signed("EdDSA", &ed_key, Algorithm::EdDSA)),
        ("RS384", signed("RS384", &rsa_key(&rsa), Algorithm::RS384)),
        ("PS512", signed("PS512", &rsa_key(&rsa), Algorithm::PS512)),
    ];
    let verifiers: [(EdgeTokenVerifier, &[&str]); 4] = [
        (with_secret(), &["HS256"]),
        (with_key(&rsa), &["RS256", "PS256"]),
        (with_key(&p256), &["ES256"]),
        (with_key(&ed), &["EdDSA"]),
    ];
    for (verifier, accepted) in verifiers {
        for (word, token) in &tokens {
            assert_eq!(verifier.verify(token).is_ok(), accepted.contains(word), "{word} by {accepted:?}");
        }
    }
}

#[test]
fn a_public_key_used_as_an_hmac_secret_is_refused() {
    let pair = rsa();
    let pem = pair.public_key_pem();
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), pair.public_key_raw()] {
        let key = EncodingKey::from_secret(secret);
        let token = signed("HS256", &key, Algorithm::HS256);
        assert!(with_key(&pair).verify(&token).is_err());
        let both = EdgeTokenVerifier::new(Some(SECRET), &[PublicKeyFile { kid: "main", pem: &pem }]).unwrap();
        assert!(both.verify(&token).is_err());
        let aimed = forge(&json!({"alg": "HS256", "kid": "main"}), &claims(), &key, Algorithm::HS256);
        assert!(both.verify(&aimed).is_err());
        let lying = signed("RS256", &key, Algorithm::HS256);
        assert!(both.verify(&lying).is_err());
    }
}

#[test]
fn alg_none_is_refused() {
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"nOnE"}"#, "{}", r#"{"alg":"HS256","alg":"none"}"#] {
        let bare = unsigned(header, &claims().to_string());
        for text in [bare.clone(), format!("{bare}."), format!("{bare}.AA")] {
            assert!(with_secret().verify(&text).is_err(), "{header}");
        }
    }
}

#[test]
fn kid_selects_among_configured_keys_and_never_brings_one() {
    let (first, second, stranger) = (rsa(), rsa(), rsa());
    let pems = [first.public_key_pem(), second.public_key_pem()];
    let files = [PublicKeyFile { kid: "first", pem: &pems[0] }, PublicKeyFile { kid: "second", pem: &pems[1] }];
    let verifier = EdgeTokenVerifier::new(None, &files).unwrap();
    let token = |kid: &str, key: &KeyPair| {
        forge(&json!({"alg": "RS256", "kid": kid}), &claims(), &rsa_key(key), Algorithm::RS256)
    };
    assert!(verifier.verify(&token("first", &first)).is_ok());
    assert!(verifier.verify(&token("second", &second)).is_ok());
    assert!(verifier.verify(&token("first", &second)).is_err());
    assert!(verifier.verify(&token("unknown-to-us", &second)).is_ok());
    assert!(verifier.verify(&signed("RS256", &rsa_key(&second), Algorithm::RS256)).is_ok());
    for kid in ["first", "unknown", "../../dev/null", ""] {
        assert!(verifier.verify(&token(kid, &stranger)).is_err());
    }
}

#[test]
fn embedded_and_remote_keys_are_never_used() {
    let (ours, eve) = (rsa(), rsa());
    for (name, value) in [
        ("jwk", json!({"kty": "oct", "k": "Yi1zZWNyZXQtb2YtMzItY2hhcmFjdGVycy1vci1tb3Jl"})),
        ("jku", json!("https://eve.example/jwks.json")),
        ("x5u", json!("https://eve.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = |alg: &str| json!({"alg": alg, name: value});
        let hmac_token = forge(&header("HS256"), &claims(), &hmac(OTHER), Algorithm::HS256);
        assert!(with_secret().verify(&hmac_token).is_err(), "{name}");
        let rsa_token = forge(&header("RS256"), &claims(), &rsa_key(&eve), Algorithm::RS256);
        assert!(with_key(&ours).verify(&rsa_token).is_err(), "{name}");
    }
    let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    assert!(with_secret().verify(&forge(&critical, &claims(), &hmac(SECRET), Algorithm::HS256)).is_err());
}

#[test]
fn the_secret_is_its_text_and_never_decoded() {
    let encoded = "YS1zZWNyZXQtb2YtMzItY2hhcmFjdGVycy1vci1tb3Jl";
    let verifier = EdgeTokenVerifier::new(Some(encoded), &[]).unwrap();
    assert!(verifier.verify(&hs(&claims())).is_err());
    assert!(verifier.verify(&signed("HS256", &hmac(encoded), Algorithm::HS256)).is_ok());
}

#[test]
fn no_character_of_a_token_can_be_changed() {
    let token = hs(&claims());
    let verifier = with_secret();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(std::str::from_utf8(&changed).unwrap()).is_err(), "{at}");
    }
    for text in ["", "..", &token[..token.len() - 1], &format!("{token}A"), &format!("{token}.x"), &"x".repeat(40_000)]
    {
        assert!(verifier.verify(text).is_err());
    }
}

#[test]
fn keys_that_are_none_are_refused_by_name_only() {
    let pair = rsa();
    let error = |kid: &str, pem: &str| EdgeTokenVerifier::new(None, &[PublicKeyFile { kid, pem }]).unwrap_err();
    let kid = || "k".to_owned();
    assert_eq!(error("k", &pair.serialize_pem()), VerifierKeyError::PrivateKey { kid: kid() });
    let two = format!("{}{}", pair.public_key_pem(), pair.public_key_pem());
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
    let certificate = pair.public_key_pem().replace("PUBLIC KEY", "CERTIFICATE");
    for pem in [
        "",
        "CANARY",
        "-----BEGIN PUBLIC KEY-----\nCANARY\n-----END PUBLIC KEY-----\n",
        &two,
        &p384,
        &certificate,
        SMALL_RSA,
    ] {
        let error = error("k", pem);
        assert_eq!(error, VerifierKeyError::Unusable { kid: kid() });
        assert!(!error.to_string().contains("CANARY"));
    }
    assert_eq!(EdgeTokenVerifier::new(None, &[]).unwrap_err(), VerifierKeyError::None);
    assert_eq!(EdgeTokenVerifier::new(Some(&"x".repeat(31)), &[]).unwrap_err(), VerifierKeyError::ShortSecret);
    let pem = pair.public_key_pem();
    let files = [PublicKeyFile { kid: "k", pem: &pem }; 2];
    assert_eq!(EdgeTokenVerifier::new(None, &files).unwrap_err(), VerifierKeyError::Duplicate { kid: kid() });
    assert_eq!(EdgeTokenVerifier::new(None, &[files[0]; 17]).unwrap_err(), VerifierKeyError::TooMany);
}

#[test]
fn the_generation_differs_between_sets_of_keys() {
    let other = EdgeTokenVerifier::new(Some(OTHER), &[]).unwrap();
    assert_eq!(with_secret().key_generation(), with_secret().key_generation());
    assert_ne!(with_secret().key_generation(), other.key_generation());
    assert!(!format!("{:?}", with_secret()).contains("secret-of"));
}

/// 1024 bits.
const SMALL_RSA: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCta0fNR1d5OOsbQeauOBIeq3Od\n\
    oi+JX7k1euKkK7zUGbeyl/kZ5jTFG9UoWdEBa9DCIiXZwkJA/1lHQXiyr3F3Kl9V\n\
    ve/ooU7eNyrE1yY/PNPW9eR9gqlZQaI16H9Up+TIdDUX3kwxtiT0M3tSr16TbctR\n\
    x6WaP9Shsx4elMrWQQIDAQAB\n\
    -----END PUBLIC KEY-----\n";
