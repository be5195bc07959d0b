//! The sessions of this process, and what they must hear about.
//!
//! **Invariant:** a session that joins after its key was revoked, but was authenticated before, hears of it all the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use novagate_kernel::{BootId, Digest, GatewayKeyId, Head, NodeId, SessionId, TenantId, Timestamp};
use novagate_ports_control::outbound::Wake;
use novagate_sync::ByeCode;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Lists of revoked consumer keys that one session may not have taken yet.
const REVOCATIONS: usize = 16;
/// How long the end of a key or tenant is remembered: longer than an upgrade takes.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What a session must know; only the newest value counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    /// The newest head that was heard of.
    pub(crate) head: Option<Head>,
    /// How many wake-ups may have been lost.
    pub(crate) lost: u64,
    /// The session must end.
    pub(crate) close: Option<ByeCode>,
}

/// The session's side.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) signals: watch::Receiver<Signals>,
    pub(crate) revoked: mpsc::Receiver<Vec<Digest>>,
}

/// Every session of this process.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tenants: HashMap<TenantId, Tenant>,
    ended_keys: VecDeque<(Instant, GatewayKeyId)>,
    ended_tenants: VecDeque<(Instant, TenantId)>,
    sessions: usize,
}

#[derive(Debug, Default)]
struct Tenant {
    sessions: HashMap<SessionId, Member>,
    nodes: HashMap<NodeId, Owner>,
}

/// The session of a node, and since when.
#[derive(Debug, Clone, Copy)]
struct Owner {
    session: SessionId,
    boot: BootId,
    since: Timestamp,
}

#[derive(Debug)]
struct Member {
    key: GatewayKeyId,
    signals: watch::Sender<Signals>,
    revoked: mpsc::Sender<Vec<Digest>>,
}

impl Registry {
    /// Adds a session.
    pub(crate) fn join(&self, tenant: TenantId, session: SessionId, key: GatewayKeyId) -> Inbox {
        let mut state = self.lock();
        state.forget_old(Instant::now());
        let close = if state.ended_keys.iter().any(|(_, ended)| *ended == key) {
            Some(ByeCode::KeyRevoked)
        } else if state.ended_tenants.iter().any(|(_, ended)| *ended == tenant) {
            Some(ByeCode::TenantSuspended)
        } else {
            None
        };
        let (signals, inbox) = watch::channel(Signals { close, ..Signals::default() });
        let (revoked, revocations) = mpsc::channel(REVOCATIONS);
        let mut inbox = Inbox { signals: inbox, revoked: revocations };
        if close.is_some() {
            inbox.signals.mark_changed();
        }
        state.tenants.entry(tenant).or_default().sessions.insert(session, Member { key, signals, revoked });
        state.sessions += 1;
        inbox
    }

    /// A session shows a node id; an older session with the same one ends.
    pub(crate) fn claim(&self, tenant: TenantId, session: SessionId, node: NodeId, boot: BootId, since: Timestamp) {
        let mut state = self.lock();
        let Some(entry) = state.tenants.get_mut(&tenant) else { return };
        if let Some(older) = entry.nodes.insert(node, Owner { session, boot, since })
            && older.session != session
        {
            entry.replace(older, boot);
        }
    }

    /// Removes a session; answers its node when that is gone with it. Doing so twice is harmless.
    pub(crate) fn leave(&self, tenant: TenantId, session: SessionId, node: Option<NodeId>) -> Option<NodeId> {
        let mut state = self.lock();
        let entry = state.tenants.get_mut(&tenant)?;
        let left = entry.sessions.remove(&session).is_some();
        let owned = node.filter(|node| entry.nodes.get(node).is_some_and(|owner| owner.session == session));
        if let Some(node) = owned {
            entry.nodes.remove(&node);
        }
        if entry.sessions.is_empty() {
            state.tenants.remove(&tenant);
        }
        state.sessions -= usize::from(left);
        owned
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().sessions
    }

    /// Tells the sessions that a wake-up concerns; answers how many were too slow to take it and are closed.
    pub(crate) fn dispatch(&self, wake: &Wake) -> usize {
        let now = Instant::now();
        let mut state = self.lock();
        match wake {
            Wake::Config { tenant, head } => {
                state.members(*tenant).for_each(|member| member.signals.send_modify(|seen| seen.head = Some(*head)));
                0
            }
            Wake::ConsumerKeysRevoked { tenant, keys } => {
                let keys: Vec<Digest> = keys.iter().map(|key| Digest::from_bytes(*key.as_bytes())).collect();
                state.members(*tenant).filter(|member| !member.revoke(&keys)).count()
            }
            Wake::GatewayKeyRevoked { tenant, key } => {
                state.ended_keys.push_back((now, *key));
                let of_key = |member: &&Member| member.key == *key;
                state.members(*tenant).filter(of_key).for_each(|member| member.close(ByeCode::KeyRevoked));
                0
            }
            Wake::TenantClosed { tenant } => {
                state.ended_tenants.push_back((now, *tenant));
                state.members(*tenant).for_each(|member| member.close(ByeCode::TenantSuspended));
                0
            }
            Wake::NodeSeen { tenant, node, boot, session, at } => {
                if let Some(entry) = state.tenants.get_mut(tenant)
                    && let Some(older) = entry.nodes.get(node).copied()
                    && older.session != *session
                    && older.since <= *at
                {
                    // Not its own end: the node is connected elsewhere, and must not be reported as gone.
                    entry.nodes.remove(node);
                    entry.replace(older, *boot);
                }
                0
            }
        }
    }

    /// Wake-ups were lost: every session compares, and authenticates again before long.
    pub(crate) fn lost(&self) {
        let state = self.lock();
        for member in state.tenants.values().flat_map(|tenant| tenant.sessions.values()) {
            member.signals.send_modify(|seen| seen.lost = seen.lost.saturating_add(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn members(&self, tenant: TenantId) -> impl Iterator<Item = &Member> {
        self.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.sessions.values())
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) > REMEMBERED;
        while self.ended_keys.front().is_some_and(|(at, _)| is_old(*at)) {
            self.ended_keys.pop_front();
        }
        while self.ended_tenants.front().is_some_and(|(at, _)| is_old(*at)) {
            self.ended_tenants.pop_front();
        }
    }
}

impl Tenant {
    /// Ends a session whose node has said hello again as `boot`.
    fn replace(&self, older: Owner, boot: BootId) {
        if let Some(member) = self.sessions.get(&older.session) {
            // The same run came back before its old connection was found dead.
            member.close(if older.boot == boot { ByeCode::GoingAway } else { ByeCode::Replaced });
        }
    }
}

impl Member {
    fn close(&self, code: ByeCode) {
        self.signals.send_modify(|seen| seen.close = seen.close.or(Some(code)));
    }

    /// Whether the session took it; one that does not is closed.
    fn revoke(&self, keys: &[Digest]) -> bool {
        let taken = self.revoked.try_send(keys.to_vec()).is_ok();
        if !taken {
            self.close(ByeCode::TryLater);
        }
        taken
    }
}
