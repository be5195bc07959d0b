//! The side that faces upstreams: targets, their health, and connections to them.

pub(crate) mod breaker;
pub(crate) mod connect;
mod eyeballs;
pub(crate) mod health;
pub(crate) mod http2;
pub(crate) mod load;
mod names;
pub(crate) mod outlier;
pub(crate) mod preference;
pub(crate) mod probe;
pub(crate) mod reach;
pub(crate) mod retry;
pub(crate) mod slots;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod tls;
