//! The in-process link keeps the contract of the transport.

use novagate_contracts::TransportFixture;
use novagate_ports_edge::SyncConnection;
use novagate_sync_memory::pair;
use tokio_util::sync::CancellationToken;

struct Memory;

impl TransportFixture for Memory {
    async fn connect() -> (Self, Box<dyn SyncConnection>, Box<dyn SyncConnection>) {
        let (node, hub) = pair(&CancellationToken::new());
        (Self, node, hub)
    }
}

novagate_contracts::transport_contract!(Memory);

#[tokio::test]
async fn a_cut_connection_is_broken_at_both_ends_and_the_next_attempt_succeeds() {
    use novagate_ports_edge::SyncDialer as _;
    let (network, mut listener) = novagate_sync_memory::MemoryNetwork::new();
    let dialer = network.dialer("key");
    for _ in 0..2 {
        let (node, incoming) = tokio::join!(dialer.dial(), async {
            let incoming = listener.accept().await.unwrap();
            assert_eq!(incoming.key(), "key");
            incoming.accept()
        });
        let (mut node, mut hub) = (node.unwrap(), incoming.unwrap());
        network.cut();
        assert!(node.receive().await.is_err());
        assert!(hub.receive().await.is_err());
    }
}
