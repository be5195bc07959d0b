//! One upstream target as one worker sees it: its idle connections and its addresses.
//!
//! Always: idle connections are used newest first, kept for a bounded time and in a bounded number. Not here: making
//! connections (`connect`), where it is (`names`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use novagate_routing::{TargetUrl, TlsServerName, UpstreamTls};
use rustls_pki_types::ServerName;

use super::http2::Pool;
use super::load::LoadCells;
use super::names::Names;
use super::slots::{Slot, Slots};
use super::stream::UpstreamConn;
use super::tls::TlsProfile;
use crate::wire::buffer::BufferStore;
use crate::wire::request::authority;

/// How long a connection may wait for its next exchange.
const IDLE_LIMIT: Duration = Duration::from_mins(1);
/// Idle connections of one worker to one target.
const MAX_IDLE: usize = 256;

/// What makes two targets the same one, connections included: whoever is reached with another certificate, or trusted for
/// another reason, is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    pub(crate) url: TargetUrl,
    pub(crate) tls: Option<Arc<UpstreamTls>>,
}

/// A target.
#[derive(Debug)]
pub(crate) struct UpstreamTarget {
    pub(crate) url: TargetUrl,
    /// The value of `Host`.
    pub(crate) authority: Box<[u8]>,
    /// Whom a certificate has to name; `None` without TLS.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(super) names: Names,
    /// How TLS is spoken, where its service says so.
    pub(crate) profile: Option<Arc<TlsProfile>>,
    /// Which of the profile's files connections are made with; those that were made with others are not used again.
    generation: Cell<u32>,
    pub(crate) load: LoadCells,
    /// Connections that requests share.
    pub(crate) http2: Rc<Pool>,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    conn: Box<UpstreamConn>,
    since: Instant,
}

impl UpstreamTarget {
    #[cfg(test)]
    pub(crate) fn new(url: TargetUrl) -> Self {
        Self::of(TargetKey { url, tls: None }, None)
    }

    /// The one with this key; `profile` has its rules.
    pub(crate) fn of(key: TargetKey, profile: Option<Arc<TlsProfile>>) -> Self {
        let TargetKey { url, tls } = key;
        let certified = tls.as_ref().and_then(|tls| tls.server_name.as_ref()).map_or(url.name(), TlsServerName::as_str);
        let server_name = url.tls.then(|| ServerName::try_from(certified.to_owned()).ok()).flatten();
        let authority = authority(url.name(), url.port_or_default(), url.tls);
        let (names, load, idle) = (Names::of(&url), LoadCells::default(), RefCell::default());
        let (http2, generation) = (Rc::default(), Cell::new(0));
        Self { url, authority, server_name, names, profile, generation, load, http2, idle }
    }

    /// An idle connection that was still open when last heard of.
    pub(crate) fn take_idle(&self) -> Option<Box<UpstreamConn>> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find_map(|idle| idle.conn.transport.is_quiet().then_some(idle.conn))
    }

    /// Keeps a connection whose exchange is complete on both sides.
    pub(crate) fn put_idle(&self, mut conn: Box<UpstreamConn>, now: Instant, store: &BufferStore) {
        conn.input.give_back(store);
        if conn.transport.is_stream() {
            return;
        }
        conn.reused = true;
        if conn.generation != self.generation.get() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { conn, since: now });
        }
    }

    /// Closes idle connections that have waited too long, that others need the room of, or that the upstream has closed.
    pub(crate) fn prune_idle(&self, now: Instant) {
        if let Some(profile) = &self.profile {
            self.renew(profile.generation());
        }
        self.http2.prune(IDLE_LIMIT, now);
        let stays = |idle: &Idle| {
            let is_wanted = idle.conn.slot.as_ref().is_some_and(Slot::is_wanted);
            now.duration_since(idle.since) < IDLE_LIMIT && !is_wanted && idle.conn.transport.is_quiet()
        };
        self.idle.borrow_mut().retain(stays);
    }

    /// Closes one idle connection of a service; false when there is none.
    pub(crate) fn make_room(&self, slots: &Arc<Slots>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let oldest = idle.iter().position(|idle| idle.conn.slot.as_ref().is_some_and(|slot| slot.is_of(slots)));
        oldest.map(|at| idle.remove(at)).is_some()
    }

    /// Connections are made with these files of the profile from here on; those with others are closed when they are idle.
    pub(crate) fn renew(&self, generation: u32) {
        if self.generation.replace(generation) != generation {
            self.idle.borrow_mut().clear();
            self.http2.retire();
        }
    }

    /// Whether nothing is kept for this target.
    pub(crate) fn is_unused(&self) -> bool {
        self.idle.borrow().is_empty() && self.http2.is_unused()
    }
}
