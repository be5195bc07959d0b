//! One commit is given two tenants.

use novagate_access::TenantScope;
use novagate_ports_control::outbound::{ConfigStore, Edit};

async fn commit(store: &dyn ConfigStore, first: &TenantScope, second: &TenantScope, edit: &Edit) {
    let _ = store.commit(first, second, edit).await;
}

fn main() {}
