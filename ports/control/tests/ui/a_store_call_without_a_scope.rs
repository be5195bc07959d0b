//! A store is asked for a tenant's configuration by the tenant's id.

use novagate_kernel::TenantId;
use novagate_ports_control::outbound::ConfigStore;

async fn load(store: &dyn ConfigStore, tenant: TenantId) {
    let _ = store.load(tenant).await;
}

fn main() {}
