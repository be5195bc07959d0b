//! Statements over the platform's tables. Always: they take a [`PlatformTx`](crate::placement::PlatformTx), name every
//! column, and put values in as parameters.

pub(crate) mod accounts;
pub(crate) mod claims;
pub(crate) mod keys;
pub(crate) mod pending;
pub(crate) mod plans;
pub(crate) mod tenants;
