//! The use cases of the control plane: accounts, configuration, fleet, telemetry and the answers to connected gateways.
//!
//! Decides what happens and in which order; holds no technology. **Invariant:** a revision that is published compiles; a
//! tenant's data is only touched through a [`novagate_access::TenantScope`]. Not here: HTTP, SQL, sockets, encodings.

mod accounts;
mod config;
mod deps;
mod fleet;
mod insight;
mod log_budget;
mod maintenance;
mod receipts;
mod sync;

pub use self::{
    accounts::{MailJob, MailWorker},
    deps::{Control, ControlDeps, RegistrationMode},
};
