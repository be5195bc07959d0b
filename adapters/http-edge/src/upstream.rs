//! The side that faces upstreams: targets, their health, and connections to them.

pub(crate) mod connect;
pub(crate) mod health;
pub(crate) mod load;
pub(crate) mod probe;
pub(crate) mod stream;
pub(crate) mod target;
