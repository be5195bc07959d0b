//! Credentials and authority: keys, tokens, passwords, and the only places where a [`TenantScope`] is made.
//!
//! Always: a secret cannot be printed, compared with `==` or serialised; hashes compare in constant time; a
//! [`TenantScope`] exists only after a check. Not here: storage (`ports/control`), bcrypt (`adapters/passwords`), JWT
//! encoding (`adapters/tokens`), status codes.

mod account;
mod digest;
mod fingerprint;
mod fleet;
mod key;
mod password;
mod scope;
mod token;

pub use self::{
    account::{EmailAddress, EmailError, EmailKey},
    digest::KeyDigest,
    fingerprint::Fingerprinter,
    fleet::{FleetKey, KeyedHash},
    key::{ConsumerKey, GatewayKey, GatewayKeyRecord, KeyError, KeyRefusal},
    password::{Password, PasswordError, PasswordHash, PasswordRules},
    scope::{PlatformClaims, TenantScope, Verified},
    token::{LinkToken, RESET_LIFETIME, TokenError, VERIFY_LIFETIME},
};
