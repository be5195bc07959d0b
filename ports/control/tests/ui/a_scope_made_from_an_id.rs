//! A scope is converted from an id.

use novagate_access::TenantScope;
use novagate_kernel::TenantId;

fn scope(tenant: TenantId) -> TenantScope {
    tenant.into()
}

fn main() {}
