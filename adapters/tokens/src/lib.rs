//! JSON Web Tokens (RFC 7519): platform tokens of the control plane, and verification of the tokens clients present at the
//! gateway.
//!
//! Always: the algorithm follows from the configured key, never from the token's header; nothing a header names (`jku`,
//! `jwk`, `x5u`, `x5c`) is ever used; a token with `crit` is refused (RFC 7515, section 4.1.11: no extension is understood);
//! no error and no `Debug` repeats a token or a key. Not here: rules about time, issuer and audience at the gateway
//! (`domain/policies`), the generation of an account's tokens (`apps/control-core`).

mod edge;
mod mint;
mod platform;
mod wire;

pub use self::{
    edge::{EdgeTokenVerifier, PublicKeyFile, VerifierKeyError},
    mint::mint_hs256,
    platform::{PLATFORM_ISSUER, PLATFORM_LIFETIME, PlatformSecretError, PlatformTokenSigner},
};

#[cfg(test)]
mod forge;
