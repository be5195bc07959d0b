//! The contract of the transport, between the gateway's dialer and this crate's connection, over a real socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use novagate_access::GatewayKey;
use novagate_contracts::TransportFixture;
use novagate_documents::frames::SUB_PROTOCOL;
use novagate_kernel::TenantId;
use novagate_net::{HttpLimits, HttpListener, Resolver, ResolverFiles, Tasks, bind, client_config, serve_http};
use novagate_ports_edge::{SyncConnection, SyncDialer as _};
use novagate_sync_client::{Endpoint, PlainText, WebSocketDialer};
use tokio::sync::oneshot;

use crate::connection::UpgradedConnection;

struct Loopback {
    _tasks: Tasks,
}

impl TransportFixture for Loopback {
    async fn connect() -> (Self, Box<dyn SyncConnection>, Box<dyn SyncConnection>) {
        let (tasks, tenant) = (Tasks::new(), TenantId::from_u128(1));
        let (hand_over, handed_over) = oneshot::channel();
        let hand_over = Arc::new(Mutex::new(Some(hand_over)));
        let handler = move |upgrade: WebSocketUpgrade| async move {
            upgrade.protocols([SUB_PROTOCOL]).on_upgrade(move |socket| async move {
                let connection = UpgradedConnection::new(socket, tenant, Arc::default());
                let taker = hand_over.lock().unwrap().take();
                assert!(taker.is_some_and(|taker| taker.send(connection).is_ok()), "one connection is taken");
            })
        };
        let socket = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "TEST").unwrap();
        let listener = HttpListener { name: "transport", socket, tls: None };
        let router = Router::new().route("/sync/v1", get(handler));
        let addr = serve_http(listener, router, HttpLimits::default(), &tasks).unwrap();
        let endpoint = Endpoint { secure: false, host: addr.ip().to_string(), port: addr.port() };
        let key = Arc::new(move || Ok(GatewayKey::generate(tenant, [7; 16])));
        let (tls, resolver) = (client_config(None).unwrap(), Resolver::new(ResolverFiles::default()).unwrap());
        let dialer = WebSocketDialer::new(endpoint, tls, resolver, PlainText::Loopback, key).unwrap();
        let node = dialer.dial().await.unwrap();
        (Self { _tasks: tasks }, node, Box::new(handed_over.await.unwrap()))
    }
}

novagate_contracts::transport_contract!(Loopback);
