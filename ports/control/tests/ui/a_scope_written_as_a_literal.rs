//! A scope is written down with its field.

use novagate_access::TenantScope;
use novagate_kernel::TenantId;

fn scope(tenant: TenantId) -> TenantScope {
    TenantScope { tenant }
}

fn main() {}
