//! Statements over one tenant's tables. Always: they take a [`TenantTx`](crate::placement::TenantTx), so that they see one
//! tenant only; they name every column, and put values in as parameters.

pub(crate) mod audit;
mod bulk;
pub(crate) mod census;
pub(crate) mod commit;
pub(crate) mod cursors;
pub(crate) mod errors;
pub(crate) mod head;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod objects;
pub(crate) mod revisions;
mod row_ids;
