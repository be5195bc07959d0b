//! Verification of the tokens that clients present at the gateway.

use novagate_policies::TokenFacts;

/// Why a token's signature or form does not hold. Time, issuer and audience are decided elsewhere, on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct VerifyFault;

/// Checks signatures with the configured keys. Contract: the algorithm comes from the configured key, never from the
/// token's header; `kid` selects only among configured keys; `jku`, `jwk` and `x5u` are ignored; `exp` must be there.
pub trait TokenVerifier: Send + Sync + 'static {
    /// The facts of a token whose signature holds. Synchronous: microseconds of CPU, no I/O.
    fn verify(&self, token: &str) -> Result<TokenFacts, VerifyFault>;

    /// Changes whenever the set of keys does: part of the key of every cache of verified tokens.
    fn key_generation(&self) -> u64;
}
