//! A gateway key's record is taken for verified without a presented key.

use novagate_access::{GatewayKeyRecord, TenantScope, Verified};

fn scope(record: GatewayKeyRecord) -> TenantScope {
    Verified(record).scope()
}

fn main() {}
