//! How TLS is spoken to the targets of services that say so: their files, read beside the requests.
//!
//! Always: what two services say alike is one profile, anything else is not shared, sessions and connections least of all;
//! files that cannot be used leave what stands, or, when nothing stands, cost the services that name them their requests
//! and nobody else anything. Not here: making connections (`connect`), what the rules mean (`novagate_net`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use novagate_net::{ClientRules, ClientTrust, FileStamp, TlsError, TlsFolder};
use novagate_routing::{TlsFileName, TlsVersion, UpstreamTls};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The profiles of all services, for all workers.
#[derive(Debug)]
pub struct UpstreamTlsFiles {
    trust: ClientTrust,
    folder: Option<TlsFolder>,
    profiles: Mutex<HashMap<Arc<UpstreamTls>, Arc<TlsProfile>>>,
    /// Told of each new profile.
    added: Notify,
}

/// What services with the same rules have in common.
#[derive(Debug)]
pub(crate) struct TlsProfile {
    trust: ClientTrust,
    folder: Option<TlsFolder>,
    /// Nothing where files are named and there is no folder for them.
    rules: Option<ClientRules>,
    usable: ArcSwapOption<ClientConfig>,
    /// How often it has become usable with other files.
    generation: AtomicU32,
    was_read: AtomicBool,
    /// Held by whoever reads; nobody else waits for it.
    seen: Mutex<Vec<FileStamp>>,
    problem: Mutex<Option<Arc<str>>>,
}

/// No file of the profile has ever been usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusable;

impl UpstreamTlsFiles {
    /// `trust` is for services that name no authorities; `folder` has the files that services name (`UPSTREAM_TLS_DIR`).
    pub fn new(trust: ClientTrust, folder: Option<PathBuf>) -> Arc<Self> {
        let folder = folder.map(TlsFolder::new);
        Arc::new(Self { trust, folder, profiles: Mutex::default(), added: Notify::new() })
    }

    /// Reads the files of new profiles at once and those of all when they have changed. Never ends; without it files are
    /// read once, by the first connection.
    pub async fn follow(self: Arc<Self>) {
        loop {
            // Either way it is time to look.
            let _ = timeout(LOOK, self.added.notified()).await;
            for profile in self.in_use() {
                if let Err(error) = tokio::task::spawn_blocking(move || profile.look()).await {
                    tracing::error!(%error, "the TLS files of upstreams were not looked at");
                }
            }
        }
    }

    /// The profile with these rules; reads nothing.
    pub(crate) fn profile(&self, tls: &Arc<UpstreamTls>) -> Arc<TlsProfile> {
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = profiles.get(tls) {
            return Arc::clone(known);
        }
        let profile = Arc::new(TlsProfile::new(tls, self.trust.clone(), self.folder.clone()));
        profiles.insert(Arc::clone(tls), Arc::clone(&profile));
        self.added.notify_one();
        profile
    }

    /// What keeps the files of these rules from being used as they are now; nothing also of rules that nobody has asked for.
    pub(crate) fn problem(&self, tls: &UpstreamTls) -> Option<Arc<str>> {
        let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.get(tls)?.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the others.
    fn in_use(&self) -> Vec<Arc<TlsProfile>> {
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.retain(|_, profile| Arc::strong_count(profile) > 1);
        profiles.values().cloned().collect()
    }
}

impl TlsProfile {
    fn new(tls: &UpstreamTls, trust: ClientTrust, folder: Option<TlsFolder>) -> Self {
        Self {
            rules: rules(tls, folder.as_ref()),
            trust,
            folder,
            usable: ArcSwapOption::empty(),
            generation: AtomicU32::new(0),
            was_read: AtomicBool::new(false),
            seen: Mutex::default(),
            problem: Mutex::default(),
        }
    }

    /// The rules that TLS is spoken by, and how often they have changed. Waits only for the first look at the files.
    pub(crate) async fn config(self: &Arc<Self>) -> Result<(Arc<ClientConfig>, u32), Unusable> {
        if !self.was_read.load(Ordering::Acquire) {
            let profile = Arc::clone(self);
            // A look that did not end well has left nothing usable.
            let _ = tokio::task::spawn_blocking(move || profile.look()).await;
        }
        // Before the rules: at worst a connection with new ones counts as one with old ones.
        let generation = self.generation();
        let config = self.usable.load_full().ok_or(Unusable)?;
        Ok((config, generation))
    }

    /// Changes with the files that connections are made with.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Reads the files if they have changed since the last look; blocks.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the files are read: what changes meanwhile is seen at the next look.
        let now = self.rules.as_ref().map(ClientRules::stamps).unwrap_or_default();
        if std::mem::replace(&mut *seen, now.clone()) == now && self.was_read.load(Ordering::Acquire) {
            return;
        }
        match self.read() {
            Ok(config) => {
                self.usable.store(Some(config));
                self.generation.fetch_add(1, Ordering::AcqRel);
                if self.tell(None) {
                    tracing::info!("the TLS files of an upstream can be used again");
                }
            }
            Err(fault) => {
                let stands = self.usable.load().is_some();
                tracing::warn!(%fault, stands, "TLS files of an upstream cannot be used");
                self.tell(Some(fault.to_string().into()));
            }
        }
        self.was_read.store(true, Ordering::Release);
    }

    fn read(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let rules = self.rules.as_ref().ok_or(TlsError::NoFolder)?;
        let identity = rules.identity.iter().flat_map(|(cert, key)| [cert, key]);
        for path in rules.ca.iter().chain(identity) {
            self.folder.as_ref().ok_or(TlsError::NoFolder)?.holds(path)?;
        }
        self.trust.config(rules)
    }

    /// Keeps what is wrong; whether something was before.
    fn tell(&self, problem: Option<Arc<str>>) -> bool {
        std::mem::replace(&mut *self.problem.lock().unwrap_or_else(PoisonError::into_inner), problem).is_some()
    }
}

fn rules(tls: &UpstreamTls, folder: Option<&TlsFolder>) -> Option<ClientRules> {
    let needs_folder = tls.ca.is_some() || tls.identity.is_some();
    if needs_folder && folder.is_none() {
        return None;
    }
    let path = |name: &TlsFileName| folder.map(|folder| folder.file(name.as_str()));
    Some(ClientRules {
        ca: tls.ca.as_ref().and_then(path),
        identity: tls.identity.as_ref().and_then(|identity| Some((path(&identity.cert)?, path(&identity.key)?))),
        only_tls_13: tls.min_version == TlsVersion::V1_3,
        pins: tls.pins.iter().map(|pin| *pin.as_bytes()).collect(),
    })
}
