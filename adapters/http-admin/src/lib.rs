//! The REST API of the control plane (`/api/v1`), its OpenAPI document and its few pages.
//!
//! Decides how a request becomes a call of an inbound port and how the answer or refusal becomes HTTP. **Invariant:** a
//! handler under `/tenants/{t}` can only get a [`novagate_access::TenantScope`] from the extractor that has checked the
//! token; another tenant's path is 404. Not here: what is allowed (`apps/control-core`), the config language
//! (`adapters/documents`).

mod handlers;
mod openapi;
mod router;
mod state;
mod web;

pub use self::{
    openapi::{Operation, api_document, operations},
    router::router,
    state::{AdminOptions, AdminState},
};
