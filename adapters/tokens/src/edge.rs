//! Verification of the tokens that clients present at the gateway.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, decode_header};
use novagate_access::KeyDigest;
use novagate_policies::TokenFacts;
use novagate_ports_edge::{TokenVerifier, VerifyFault};
use serde::Deserialize;

use crate::wire::{MAX_TOKEN_BYTES, MIN_SECRET_BYTES, NumericDate, present, verified};

/// The most public keys that one gateway verifies with.
const MAX_KEYS: usize = 16;

/// Smallest RSA public key in DER: 2048 bits (RFC 7518, section 3.3) and its framing.
const MIN_RSA_DER_BYTES: usize = 264;

/// An uncompressed point on P-256 (SEC 1, section 2.3.3), and an Ed25519 public key (RFC 8032, section 5.1.5).
const P256_POINT_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// A configured public key.
#[derive(Debug, Clone, Copy)]
pub struct PublicKeyFile<'a> {
    /// What a token's `kid` may select it by: the stem of the file's name.
    pub kid: &'a str,
    /// The file: one `PUBLIC KEY` (RFC 7468, section 13) or `RSA PUBLIC KEY` block.
    pub pem: &'a str,
}

/// Why the configured keys are not accepted. It never repeats them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Nothing to verify with.
    #[error("neither a secret nor a public key is configured")]
    None,
    /// A secret that is too short.
    #[error("the secret must have at least 32 bytes")]
    ShortSecret,
    /// More than a gateway tries.
    #[error("more than 16 public keys are configured")]
    TooMany,
    /// A file holds a private key, which has no business on a gateway.
    #[error("public key {kid} is a private key")]
    PrivateKey {
        /// Which.
        kid: String,
    },
    /// A file is not a public key of a kind that is accepted.
    #[error("public key {kid} is not a PEM public key: RSA of 2048 bits or more, EC on P-256, or Ed25519")]
    Unusable {
        /// Which.
        kid: String,
    },
    /// Two files would be selected by one `kid`.
    #[error("public key {kid} is configured twice")]
    Duplicate {
        /// Which.
        kid: String,
    },
}

/// Verifies with a shared secret, with public keys, or with both.
pub struct EdgeTokenVerifier {
    keys: Vec<VerifierKey>,
    generation: u64,
}

struct VerifierKey {
    kid: Option<Box<str>>,
    key: DecodingKey,
    algorithms: &'static [Algorithm],
}

#[derive(Deserialize)]
struct Claims {
    exp: NumericDate,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

impl EdgeTokenVerifier {
    /// A verifier for HS256 with the UTF-8 bytes of `secret`, for RS256 and PS256, ES256 and `EdDSA` with `public_keys`, as
    /// far as they are given.
    pub fn new(secret: Option<&str>, public_keys: &[PublicKeyFile<'_>]) -> Result<Self, VerifierKeyError> {
        if public_keys.len() > MAX_KEYS {
            return Err(VerifierKeyError::TooMany);
        }
        let mut keys: Vec<VerifierKey> = Vec::new();
        let mut material = Vec::new();
        if let Some(secret) = secret {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(VerifierKeyError::ShortSecret);
            }
            material.extend_from_slice(secret.as_bytes());
            keys.push(VerifierKey {
                kid: None,
                key: DecodingKey::from_secret(secret.as_bytes()),
                algorithms: &[Algorithm::HS256],
            });
        }
        for file in public_keys {
            if keys.iter().any(|known| known.kid.as_deref() == Some(file.kid)) {
                return Err(VerifierKeyError::Duplicate { kid: file.kid.to_owned() });
            }
            material.extend_from_slice(format!("\0{}\0{}", file.kid, file.pem).as_bytes());
            keys.push(public_key(*file)?);
        }
        if keys.is_empty() {
            return Err(VerifierKeyError::None);
        }
        Ok(Self { keys, generation: generation_of(&material) })
    }

    /// The key that `kid` names; without one, or when it names none of ours, every key that is asked for.
    fn candidates<'s>(&'s self, kid: Option<&str>) -> impl Iterator<Item = &'s VerifierKey> {
        let named = kid.and_then(|kid| self.keys.iter().position(|key| key.kid.as_deref() == Some(kid)));
        self.keys.iter().enumerate().filter(move |(at, _)| named.is_none_or(|named| named == *at)).map(|(_, key)| key)
    }
}

impl TokenVerifier for EdgeTokenVerifier {
    fn verify(&self, token: &str) -> Result<TokenFacts, VerifyFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(VerifyFault);
        }
        let header = decode_header(token).map_err(|_| VerifyFault)?;
        let (_, claims) = self
            .candidates(header.kid.as_deref())
            .filter(|candidate| candidate.algorithms.contains(&header.alg))
            .find_map(|candidate| verified::<Claims>(token, &candidate.key, candidate.algorithms))
            .ok_or(VerifyFault)?;
        Ok(TokenFacts {
            subject: claims.sub,
            expires_at: Some(claims.exp.0),
            not_before: claims.nbf.map(|date| date.0),
            issuer: claims.iss,
            audiences: match claims.aud {
                None => Box::default(),
                Some(Audience::One(audience)) => Box::new([audience]),
                Some(Audience::Several(audiences)) => audiences.into(),
            },
        })
    }

    fn key_generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for EdgeTokenVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EdgeTokenVerifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn public_key(file: PublicKeyFile<'_>) -> Result<VerifierKey, VerifierKeyError> {
    let kid = || file.kid.to_owned();
    if file.pem.contains("PRIVATE KEY") {
        return Err(VerifierKeyError::PrivateKey { kid: kid() });
    }
    // A certificate would be read too, but as whatever key its first bit string happens to be.
    let is_public_key = file.pem.matches("-----BEGIN ").count() == 1 && file.pem.contains("PUBLIC KEY-----");
    let (key, algorithms) = if is_public_key { key_of_pem(file.pem.as_bytes()) } else { None }
        .ok_or_else(|| VerifierKeyError::Unusable { kid: kid() })?;
    Ok(VerifierKey { kid: Some(file.kid.into()), key, algorithms })
}

/// The key and the algorithms that it serves; the three kinds of key cannot be taken for each other.
fn key_of_pem(pem: &[u8]) -> Option<(DecodingKey, &'static [Algorithm])> {
    let length = |key: &DecodingKey| key.try_get_as_bytes().map_or(0, <[u8]>::len);
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return (length(&key) == P256_POINT_BYTES).then_some((key, &[Algorithm::ES256]));
    }
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return (length(&key) == ED25519_BYTES).then_some((key, &[Algorithm::EdDSA]));
    }
    let key = DecodingKey::from_rsa_pem(pem).ok()?;
    (length(&key) >= MIN_RSA_DER_BYTES).then_some((key, &[Algorithm::RS256, Algorithm::PS256]))
}

/// Differs between different sets of keys, without a counter that every verifier would have to share.
fn generation_of(material: &[u8]) -> u64 {
    let digest = KeyDigest::of(material);
    let mut first = [0_u8; 8];
    for (slot, byte) in first.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    u64::from_be_bytes(first)
}

#[cfg(test)]
#[path = "edge_tests.rs"]
mod tests;
