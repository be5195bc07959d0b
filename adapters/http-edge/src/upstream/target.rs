//! One upstream target as one worker sees it: its idle connections and its addresses.
//!
//! Always: idle connections are used newest first, kept for a bounded time and in a bounded number; addresses of a name are
//! used for as long as the resolver says and asked for again beside the requests. Not here: making connections (`connect`).

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use novagate_net::{ResolveError, Resolver};
use novagate_routing::TargetUrl;
use rustls_pki_types::ServerName;

use super::http2::Pool;
use super::load::LoadCells;
use super::stream::UpstreamConn;
use crate::wire::buffer::BufferStore;
use crate::wire::request::authority;

/// How long a connection may wait for its next exchange.
const IDLE_LIMIT: Duration = Duration::from_mins(1);
/// Idle connections of one worker to one target.
const MAX_IDLE: usize = 256;

/// A target.
#[derive(Debug)]
pub(crate) struct UpstreamTarget {
    pub(crate) url: TargetUrl,
    /// The value of `Host`.
    pub(crate) authority: Box<[u8]>,
    /// Whom a certificate has to name; `None` without TLS.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) load: LoadCells,
    /// Connections that requests share.
    pub(crate) http2: Rc<Pool>,
    idle: RefCell<Vec<Idle>>,
    addresses: RefCell<Addresses>,
    asking: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    conn: UpstreamConn,
    since: Instant,
}

#[derive(Debug)]
struct Addresses {
    known: Rc<[SocketAddr]>,
    /// Until when nobody needs to ask again; `None`: they never change.
    fresh_until: Option<Instant>,
}

impl UpstreamTarget {
    pub(crate) fn new(url: TargetUrl) -> Self {
        let literal: Option<IpAddr> = url.host.parse().ok();
        let known = literal.map(|ip| SocketAddr::new(ip, url.port)).into_iter().collect();
        let server_name = url.tls.then(|| ServerName::try_from(url.host.to_string()).ok()).flatten();
        let authority = authority(&url.host, url.port, url.tls);
        let fresh_until = literal.is_none().then(Instant::now);
        let addresses = RefCell::new(Addresses { known, fresh_until });
        let (load, idle, asking) = (LoadCells::default(), RefCell::default(), Cell::new(false));
        Self { url, authority, server_name, load, http2: Rc::default(), idle, addresses, asking }
    }

    /// An idle connection that was still open when last heard of.
    pub(crate) fn take_idle(&self) -> Option<UpstreamConn> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find_map(|idle| idle.conn.transport.is_quiet().then_some(idle.conn))
    }

    /// Keeps a connection whose exchange is complete on both sides.
    pub(crate) fn put_idle(&self, mut conn: UpstreamConn, now: Instant, store: &BufferStore) {
        conn.input.give_back(store);
        if conn.transport.is_stream() {
            return;
        }
        conn.reused = true;
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { conn, since: now });
        }
    }

    /// Closes idle connections that have waited too long or that the upstream has closed.
    pub(crate) fn prune_idle(&self, now: Instant) {
        self.http2.prune(IDLE_LIMIT, now);
        self.idle
            .borrow_mut()
            .retain(|idle| now.duration_since(idle.since) < IDLE_LIMIT && idle.conn.transport.is_quiet());
    }

    /// Whether nothing is kept for this target.
    pub(crate) fn is_unused(&self) -> bool {
        self.idle.borrow().is_empty() && self.http2.is_unused()
    }

    /// The addresses that are known.
    pub(crate) fn known_addresses(&self) -> Rc<[SocketAddr]> {
        Rc::clone(&self.addresses.borrow().known)
    }

    /// Whether somebody should ask for the addresses again; true for one caller only.
    pub(crate) fn wants_asking(&self) -> bool {
        let is_old = self.addresses.borrow().fresh_until.is_some_and(|fresh_until| Instant::now() >= fresh_until);
        is_old && !self.asking.replace(true)
    }

    /// Asks for the addresses of the name.
    pub(crate) async fn ask(&self, resolver: &Resolver) -> Result<Rc<[SocketAddr]>, ResolveError> {
        let answer = resolver.resolve(&self.url.host, self.url.port).await;
        self.asking.set(false);
        let answer = answer?;
        let known: Rc<[SocketAddr]> = answer.addresses.into();
        let fresh_until = Some(Instant::now() + answer.valid_for);
        *self.addresses.borrow_mut() = Addresses { known: Rc::clone(&known), fresh_until };
        Ok(known)
    }
}
