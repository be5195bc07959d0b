//! Certificates in files: several names on one listener, read anew when the files change.
//!
//! Always: a connection is shown the certificate of the name that its client asked for, or the first one; files that cannot
//! be used leave the certificates that stand; connections that stand are not touched. Not here: certificates of our own
//! (`self_signed`).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::tls::{TlsError, certificates, own_roots, private_key, provider, server_config_of};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFile {
    /// PEM: the server's own certificate first.
    pub cert: PathBuf,
    /// PEM: the first key counts.
    pub key: PathBuf,
}

/// What a listener asks its clients for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate.
    None,
    /// A certificate of an authority in this file; who shows none is served too, who shows another one is not.
    Optional(PathBuf),
    /// The same; who shows none is not served.
    Required(PathBuf),
}

/// The certificates of a listener.
#[derive(Debug)]
pub struct CertificateFiles {
    files: Vec<CertificateFile>,
    served: RwLock<Arc<Served>>,
    seen: Mutex<Vec<FileStamp>>,
}

/// When a file was written, and how long it is; nothing when it cannot be looked at.
pub type FileStamp = Option<(SystemTime, u64)>;

#[derive(Debug)]
struct Served {
    first: Arc<CertifiedKey>,
    /// Names in lower case; `*.example.com` stands for one label before the rest (RFC 6125, section 6.4.3).
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl CertificateFiles {
    /// Reads at least one pair of files. The first one is for clients that name nobody, or nobody known.
    pub fn load(files: Vec<CertificateFile>) -> Result<Arc<Self>, TlsError> {
        let seen = stamps(&files);
        let served = read(&files)?;
        Ok(Arc::new(Self { files, served: RwLock::new(Arc::new(served)), seen: Mutex::new(seen) }))
    }

    /// A server that shows these certificates and asks its clients for theirs as `clients` says. A session with a client's
    /// certificate is not resumed: each connection proves anew that the certificate holds.
    pub fn server_config(self: &Arc<Self>, clients: &ClientAuth) -> Result<Arc<ServerConfig>, TlsError> {
        let clients = match clients {
            ClientAuth::None => None,
            ClientAuth::Optional(path) => Some(verifier(path, true)?),
            ClientAuth::Required(path) => Some(verifier(path, false)?),
        };
        server_config_of(clients, |builder| Ok(builder.with_cert_resolver(Arc::clone(self) as _)))
    }

    /// Looks at the files every few seconds and reads them when they have changed. Never ends.
    pub async fn follow(self: Arc<Self>) {
        let mut turns = tokio::time::interval(LOOK);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let files = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || files.look()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("the certificates were read anew"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "changed certificates cannot be used; those before stay until the files change again");
                }
                Err(error) => tracing::error!(%error, "the certificates were not looked at"),
            }
        }
    }

    /// Whether the files had changed and were read.
    fn look(&self) -> Result<bool, TlsError> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let now = stamps(&self.files);
        if std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now.clone()) == now {
            return Ok(false);
        }
        let fresh = Arc::new(read(&self.files)?);
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    fn of(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let served = Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner));
        let known = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let wildcard = || served.by_name.get(&format!("*.{}", name.split_once('.')?.1));
            served.by_name.get(&name).or_else(wildcard)
        });
        Arc::clone(known.unwrap_or(&served.first))
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.of(hello.server_name()))
    }
}

fn stamps(files: &[CertificateFile]) -> Vec<FileStamp> {
    files.iter().flat_map(|file| [stamp(&file.cert), stamp(&file.key)]).collect()
}

pub(crate) fn stamp(path: &Path) -> FileStamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(files: &[CertificateFile]) -> Result<Served, TlsError> {
    let (mut first, mut by_name) = (None, HashMap::new());
    for file in files {
        let chain = certificates(&file.cert)?;
        let unusable = |source| TlsError::Unusable { path: file.cert.clone(), source };
        let key = CertifiedKey::from_der(chain, private_key(&file.key)?, &provider()).map_err(unusable)?;
        let key = Arc::new(key);
        let own = key.end_entity_cert().map_err(unusable)?;
        let own = EndEntityCert::try_from(own).map_err(|_bad| TlsError::NotACertificate { path: file.cert.clone() })?;
        for name in own.valid_dns_names() {
            // Of two for one name the first one counts, as it does for no name.
            by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&key));
        }
        first.get_or_insert(key);
    }
    let first = first.ok_or_else(|| TlsError::NoCertificate { path: PathBuf::new() })?;
    Ok(Served { first, by_name })
}

fn verifier(path: &Path, is_optional: bool) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(own_roots(path)?), provider());
    let builder = if is_optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|_unusable| TlsError::NoCertificate { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Files, pair_for};

    fn file(files: &Files, stem: &str, names: &[&str]) -> CertificateFile {
        let (cert, key) = pair_for(names);
        let cert = files.write(&format!("{stem}.pem"), &cert);
        CertificateFile { cert, key: files.write(&format!("{stem}.key"), &key) }
    }

    #[test]
    fn each_name_is_shown_its_own_certificate_and_everybody_else_the_first() {
        let files = Files::new("names");
        let first = file(&files, "first", &["example.com", "www.example.com"]);
        let second = file(&files, "second", &["*.Example.org", "example.com"]);
        let loaded = CertificateFiles::load(vec![first, second]).unwrap();
        let shown = |name: Option<&str>| loaded.of(name).cert.first().cloned().unwrap();
        let (of_first, of_second) = (shown(None), shown(Some("a.example.org")));
        assert_ne!(of_first, of_second);
        for name in ["example.com", "WWW.example.com", "unknown.net", "a.b.example.org", "example.org"] {
            assert_eq!(shown(Some(name)), of_first, "{name}");
        }
        assert_eq!(shown(Some("B.EXAMPLE.ORG")), of_second);
    }

    #[test]
    fn changed_files_are_read_and_bad_ones_leave_what_stands() {
        let files = Files::new("reload");
        let own = file(&files, "own", &["example.com"]);
        let loaded = CertificateFiles::load(vec![own.clone()]).unwrap();
        let shown = || loaded.of(None).cert.first().cloned().unwrap();
        let before = shown();
        assert!(!loaded.look().unwrap(), "nothing has changed");
        // Half of a renewal: the key is not that of the certificate.
        let (cert, key) = pair_for(&["example.com", "a-longer-name.example.com"]);
        files.write("own.pem", &cert);
        assert!(loaded.look().is_err());
        assert_eq!(shown(), before);
        assert!(!loaded.look().unwrap(), "it is not complained about twice");
        files.write("own.key", &format!("{key}\n"));
        assert!(loaded.look().unwrap());
        assert_ne!(shown(), before);
        fs::remove_file(&own.cert).unwrap();
        assert!(loaded.look().is_err());
    }
}
