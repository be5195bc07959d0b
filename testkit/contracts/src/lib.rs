//! What every implementation of a port must do, as tests: one suite per port, run by every adapter.
//!
//! An adapter implements a fixture trait and names its suites, one line each, in `tests/contract.rs`:
//!
//! ```ignore
//! mod fixture;
//! use fixture::Memory;
//!
//! novagate_contracts::store_contracts!(Memory);
//! novagate_contracts::bus_contract!(Memory);
//! ```
//!
//! Always: each case has a fixture of its own, so that all run at the same time; a case names one sentence of the port's
//! contract. Cases about restarts run only where a fixture can be reopened. Not here: how long anything takes.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case fails by panicking"
)]

pub mod audit_store;
pub mod bus;
pub mod config_store;
pub mod gateway_key_store;
pub mod idempotency_store;
pub mod mailer;
pub mod node_store;
pub mod object_codec;
pub mod presence;
pub mod shared_counter;
pub mod snapshot_store;
pub mod telemetry_store;
pub mod tenant_store;
pub mod throttle;
pub mod transport;

mod pages;
mod runner;
mod stores;

pub use self::{
    bus::BusFixture,
    mailer::MailerFixture,
    object_codec::CodecFixture,
    presence::PresenceFixture,
    runner::{leave_out, run},
    shared_counter::SharedCounterFixture,
    snapshot_store::SnapshotFixture,
    stores::{StoreFixture, Stores},
    throttle::ThrottleFixture,
    transport::TransportFixture,
};

/// Makes one test of each case of a suite, in a module of the suite's name. The fixture's type must be in scope where the
/// macro is used.
#[macro_export]
macro_rules! cases {
    ($suite:ident, $fixture:ty: $($case:ident),+ $(,)?) => {
        mod $suite {
            use super::*;

            $(
                #[test]
                fn $case() {
                    $crate::run($crate::$suite::$case::<$fixture>());
                }
            )+
        }
    };
}

/// Every suite of a store: tenants, gateway keys, configurations, nodes, telemetry, the audit log and remembered POSTs.
#[macro_export]
macro_rules! store_contracts {
    ($fixture:ty) => {
        $crate::tenant_store_contract!($fixture);
        $crate::gateway_key_store_contract!($fixture);
        $crate::config_store_contract!($fixture);
        $crate::node_store_contract!($fixture);
        $crate::telemetry_store_contract!($fixture);
        $crate::audit_store_contract!($fixture);
        $crate::idempotency_store_contract!($fixture);
    };
}
