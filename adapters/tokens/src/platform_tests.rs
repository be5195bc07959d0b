//! Attacks on platform tokens.

use serde_json::{Value, json};

use super::*;
use crate::forge::{OTHER, SECRET, forge, forge_text, hmac, unsigned};

const NOW: i64 = 1_767_323_045;
const TENANT: &str = "0198c0de-0000-4000-8000-0000000000ff";

fn signer() -> PlatformTokenSigner {
    PlatformTokenSigner::new(SECRET, None).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

fn claims() -> Value {
    json!({"iss": "novagate", "sub": TENANT, "iat": NOW - 60, "exp": NOW + 3600, "gen": 3})
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "HS256"})
}

fn with(mut value: Value, name: &str, claim: Value) -> Value {
    value[name] = claim;
    value
}

fn good(claims: &Value) -> String {
    forge(&header(), claims, &hmac(SECRET), Algorithm::HS256)
}

fn fault(token: &str) -> Option<TokenFault> {
    signer().verify(token, now()).err()
}

#[test]
fn promise_c3_an_issued_token_is_hs256_and_verifies_for_seven_days() {
    let issued = PlatformClaims {
        tenant: TenantId::parse(TENANT).unwrap(),
        generation: 3,
        issued_at: now(),
        expires_at: now().plus(PLATFORM_LIFETIME),
    };
    let token = signer().issue(&issued).unwrap();
    assert_eq!(jsonwebtoken::decode_header(&token).unwrap().alg, Algorithm::HS256);
    assert_eq!(signer().verify(&token, now()).unwrap().get(), &issued);
    let last = issued.expires_at.minus(Duration::from_micros(1));
    assert!(signer().verify(&token, last).is_ok());
    assert_eq!(signer().verify(&token, issued.expires_at).err(), Some(TokenFault::Expired));
}

#[test]
fn promise_c3_a_life_of_more_than_seven_days_is_neither_issued_nor_accepted() {
    let expires_at = now().plus(PLATFORM_LIFETIME + Duration::from_secs(1));
    let long = PlatformClaims { tenant: TenantId::parse(TENANT).unwrap(), generation: 0, issued_at: now(), expires_at };
    assert_eq!(signer().issue(&long).unwrap_err().kind, FaultKind::Misuse);
    let token = good(&with(with(claims(), "iat", json!(NOW)), "exp", json!(expires_at.as_seconds())));
    assert_eq!(fault(&token), Some(TokenFault::Invalid));
}

#[test]
fn promise_c3_alg_none_is_refused_in_every_spelling() {
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"NONE","typ":"JWT"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
    ] {
        let bare = unsigned(header, &claims().to_string());
        assert_eq!(fault(&format!("{bare}.")), Some(TokenFault::Invalid), "{header}");
        assert_eq!(fault(&bare), Some(TokenFault::Invalid), "{header}");
        let signed = forge_text(header, &claims().to_string(), &hmac(SECRET), Algorithm::HS256);
        assert_eq!(fault(&signed), Some(TokenFault::Invalid), "{header}");
    }
}

#[test]
fn promise_c3_other_algorithms_are_refused_even_with_the_right_secret() {
    for (word, algorithm) in [("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        let honest = forge(&json!({"alg": word}), &claims(), &hmac(SECRET), algorithm);
        assert_eq!(fault(&honest), Some(TokenFault::Invalid));
        let lying = forge(&header(), &claims(), &hmac(SECRET), algorithm);
        assert_eq!(fault(&lying), Some(TokenFault::Invalid));
    }
    for word in ["RS256", "PS256", "ES256", "EdDSA"] {
        let confused = forge(&json!({"alg": word}), &claims(), &hmac(SECRET), Algorithm::HS256);
        assert_eq!(fault(&confused), Some(TokenFault::Invalid), "{word}");
    }
}

#[test]
fn promise_c3_every_claim_is_needed_and_typed() {
    assert_eq!(fault(&good(&claims())), None);
    for name in ["iss", "sub", "iat", "exp", "gen"] {
        let mut missing = claims();
        missing.as_object_mut().unwrap().remove(name);
        assert_eq!(fault(&good(&missing)), Some(TokenFault::Invalid), "without {name}");
        for junk in [Value::Null, json!("1"), json!([]), json!({}), json!(true)] {
            if !(junk.is_string() && (name == "iss" || name == "sub")) {
                assert_eq!(
                    fault(&good(&with(claims(), name, junk.clone()))),
                    Some(TokenFault::Invalid),
                    "{name} {junk}"
                );
            }
        }
    }
    for sub in ["", "x", "0198C0DE00004000800000000000000F", "{0198c0de-0000-4000-8000-0000000000ff}"] {
        assert_eq!(fault(&good(&with(claims(), "sub", json!(sub)))), Some(TokenFault::Invalid), "{sub}");
    }
    let twice = claims().to_string().replacen('{', r#"{"exp":9999999999,"#, 1);
    let token = forge_text(&header().to_string(), &twice, &hmac(SECRET), Algorithm::HS256);
    assert_eq!(fault(&token), Some(TokenFault::Invalid));
}

#[test]
fn promise_c3_a_token_from_the_future_is_refused_beyond_a_minute_of_skew() {
    let issued = |at: i64| fault(&good(&with(claims(), "iat", json!(at))));
    assert_eq!(issued(NOW + 60), None);
    assert_eq!(issued(NOW + 61), Some(TokenFault::Invalid));
    assert_eq!(issued(i64::MAX), Some(TokenFault::Invalid));
    assert_eq!(fault(&good(&with(claims(), "iat", json!(1e300)))), Some(TokenFault::Invalid));
}

#[test]
fn promise_c3_times_that_make_no_sense_are_refused_not_expired() {
    let pair = |iat: Value, exp: Value| fault(&good(&with(with(claims(), "iat", iat), "exp", exp)));
    assert_eq!(pair(json!(NOW - 10), json!(NOW - 10)), Some(TokenFault::Invalid));
    assert_eq!(pair(json!(NOW - 10), json!(NOW - 20)), Some(TokenFault::Invalid));
    assert_eq!(pair(json!(NOW - 10), json!(-1)), Some(TokenFault::Invalid));
    assert_eq!(pair(json!(i64::MIN), json!(i64::MAX)), Some(TokenFault::Invalid));
    assert_eq!(pair(json!(NOW - 10), json!(u64::MAX)), Some(TokenFault::Invalid));
    assert_eq!(pair(json!(NOW - 10), json!(NOW)), Some(TokenFault::Expired));
    assert_eq!(pair(json!(NOW - 10), json!(1_767_323_045.5)), None);
}

#[test]
fn promise_c3_another_issuer_is_refused() {
    for issuer in ["", "Novagate", "novagate ", "https://novagate"] {
        assert_eq!(fault(&good(&with(claims(), "iss", json!(issuer)))), Some(TokenFault::Invalid), "{issuer}");
    }
}

#[test]
fn promise_c3_another_secret_is_refused_and_the_previous_one_only_while_it_is_configured() {
    let token = forge(&header(), &claims(), &hmac(OTHER), Algorithm::HS256);
    assert_eq!(fault(&token), Some(TokenFault::Invalid));
    let rotated = PlatformTokenSigner::new(SECRET, Some(OTHER)).unwrap();
    assert!(rotated.verify(&token, now()).is_ok());
    assert!(rotated.verify(&good(&claims()), now()).is_ok());
    let issued = rotated.issue(rotated.verify(&token, now()).unwrap().get()).unwrap();
    assert!(signer().verify(&issued, now()).is_ok(), "new tokens are signed with the new secret");
}

#[test]
fn promise_c3_an_expired_token_of_a_stranger_is_invalid_not_expired() {
    let expired = with(claims(), "exp", json!(NOW - 1));
    assert_eq!(fault(&good(&expired)), Some(TokenFault::Expired));
    assert_eq!(fault(&forge(&header(), &expired, &hmac(OTHER), Algorithm::HS256)), Some(TokenFault::Invalid));
}

#[test]
fn promise_c3_nothing_in_the_header_chooses_a_key() {
    let jwk = json!({"kty": "oct", "k": "Yi1zZWNyZXQtb2YtMzItY2hhcmFjdGVycy1vci1tb3Jl"});
    for (name, value) in [
        ("jwk", jwk),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' UNION SELECT 'b-secret")),
        ("kid", json!("")),
        ("jku", json!("https://eve.example/jwks.json")),
        ("x5u", json!("https://eve.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
    ] {
        let hostile = with(header(), name, value.clone());
        let stranger = forge(&hostile, &claims(), &hmac(OTHER), Algorithm::HS256);
        assert_eq!(fault(&stranger), Some(TokenFault::Invalid), "{name}");
        let empty = forge(&hostile, &claims(), &hmac(""), Algorithm::HS256);
        assert_eq!(fault(&empty), Some(TokenFault::Invalid), "{name}");
        if name != "b64" {
            let ours = forge(&hostile, &claims(), &hmac(SECRET), Algorithm::HS256);
            assert_eq!(fault(&ours), Some(TokenFault::Invalid), "{name}");
        }
    }
}

#[test]
fn promise_c3_no_character_of_a_token_can_be_changed() {
    let token = good(&claims());
    for at in 0..token.len() {
        for byte in [b'A', b'_', b'.', b'=', b' ', b'\n'] {
            let mut changed = token.clone().into_bytes();
            if changed[at] != byte {
                changed[at] = byte;
                let text = String::from_utf8(changed).unwrap();
                assert_eq!(fault(&text), Some(TokenFault::Invalid), "{at} {byte}");
            }
        }
    }
}

#[test]
fn texts_that_are_no_tokens_are_refused() {
    let token = good(&claims());
    let long = good(&with(claims(), "pad", json!("x".repeat(20_000))));
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        &token[1..],
        &format!("{token}."),
        &format!(" {token}"),
        &format!("{token}="),
        &long,
    ] {
        assert_eq!(fault(text), Some(TokenFault::Invalid));
    }
}

#[test]
fn short_secrets_are_refused_and_none_is_printed() {
    assert_eq!(PlatformTokenSigner::new(&"x".repeat(31), None).err(), Some(PlatformSecretError::TooShort));
    assert_eq!(PlatformTokenSigner::new(SECRET, Some("short")).err(), Some(PlatformSecretError::TooShort));
    assert!(!format!("{:?}", signer()).contains("secret"));
}
