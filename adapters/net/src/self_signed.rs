//! A server certificate without anybody's help: an authority made at the first start, and certificates that it signs.
//!
//! Always: the authority stays the same for as long as its file does, because clients trust a copy of it; its key is
//! readable by its owner only; a server's key and certificate live in memory, are made anew at every start and renewed long
//! before they expire. Not here: which names the server has (the program), when it is renewed (the program).

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject};

use crate::tls::{TlsError, provider, server_config_of};

/// Key and certificate of the authority, below the data directory.
const PRIVATE: (&str, &str) = ("tls", "authority.pem");
/// What clients are given: the authority's certificate, below the data directory, in a folder that holds no secret.
const PUBLIC: (&str, &str) = ("public", "ca.pem");
const AUTHORITY_NAME: &str = "NovaGate control plane";
const SERVER_NAME: &str = "novagate-control";
const DAY: Duration = Duration::from_hours(24);
/// How long a server's certificate is valid; it is renewed after a day.
const SERVER_DAYS: u32 = 30;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// A file or folder cannot be read or written.
    #[error("{path} cannot be used: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The authority's file is not what was written there.
    #[error("{path} is damaged; without it a new authority is made, which every gateway must be given", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("the certificate cannot be made")]
    Make(#[source] rcgen::Error),
    /// What was made cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server's own authority and its present certificate.
pub struct SelfSigned {
    authority: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    names: Vec<String>,
    served: Arc<Served>,
}

impl SelfSigned {
    /// Opens the authority of a data directory, or makes it, and issues a certificate for `names` (names and addresses; what
    /// cannot be either is left out). Gateways need `DATA_DIR/public/ca.pem`.
    pub fn open(data_dir: &Path, names: &[String], now: SystemTime) -> Result<Self, SelfSignedError> {
        let path = data_dir.join(PRIVATE.0).join(PRIVATE.1);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => make_authority(&path, now)?,
            Err(source) => return Err(SelfSignedError::File { path, source }),
        };
        let (authority, key) = parse(&text).ok_or(SelfSignedError::Damaged { path })?;
        publish(data_dir, &text)?;
        let issuer = Issuer::new(authority_params(now), key);
        let mut names: Vec<String> = names.iter().filter(|name| is_name(name)).cloned().collect();
        names.sort_unstable();
        names.dedup();
        let first = issue(&authority, &issuer, &names, now)?;
        let served = Arc::new(Served(RwLock::new(first)));
        Ok(Self { authority, issuer, names, served })
    }

    /// A server that always shows the present certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        server_config_of(None, |builder| Ok(builder.with_cert_resolver(Arc::clone(&self.served) as _)))
    }

    /// Issues a new certificate; connections that stand are not touched. Once a day is often enough.
    pub fn renew(&self, now: SystemTime) -> Result<(), SelfSignedError> {
        let fresh = issue(&self.authority, &self.issuer, &self.names, now)?;
        *self.served.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl std::fmt::Debug for SelfSigned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SelfSigned").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Served(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Makes an authority and keeps it: after a crash there is the whole file or none.
fn make_authority(path: &Path, now: SystemTime) -> Result<String, SelfSignedError> {
    let key = KeyPair::generate().map_err(SelfSignedError::Make)?;
    let certificate = authority_params(now).self_signed(&key).map_err(SelfSignedError::Make)?;
    let text = format!("{}{}", certificate.pem(), key.serialize_pem());
    let fault = |source| SelfSignedError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
    }
    replace(path, &text, 0o600).map_err(fault)?;
    Ok(text)
}

/// Puts the certificate, without the key, where clients may be given it.
fn publish(data_dir: &Path, text: &str) -> Result<(), SelfSignedError> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let folder = data_dir.join(PUBLIC.0);
    let path = folder.join(PUBLIC.1);
    let fault = |source| SelfSignedError::File { path: path.clone(), source };
    let public = text.split_inclusive(END).next().unwrap_or_default();
    if fs::read_to_string(&path).is_ok_and(|there| there == public) {
        return Ok(());
    }
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o755).create(&folder).map_err(fault)?;
    }
    replace(&path, public, 0o644).map_err(fault)
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
    // What the umask took away is given back, and a left-over file may have had another mode.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(partial, path)
}

/// Certificate and key; the parsers' errors could quote the file.
fn parse(text: &str) -> Option<(CertificateDer<'static>, KeyPair)> {
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
    let key = KeyPair::from_pem(text.get(text.find("-----BEGIN PRIVATE KEY-----")?..)?).ok()?;
    Some((certificate, key))
}

/// Everything but the key. It does not expire: whoever distrusts an authority of its own removes its file.
fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - DAY).into();
    params.not_after = date_time_ymd(9999, 12, 31);
    params
}

fn issue(
    authority: &CertificateDer<'static>,
    issuer: &Issuer<'static, KeyPair>,
    names: &[String],
    now: SystemTime,
) -> Result<Arc<CertifiedKey>, SelfSignedError> {
    let mut params = CertificateParams::new(names).map_err(SelfSignedError::Make)?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Clocks of other machines may be behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * SERVER_DAYS).into();
    let key = KeyPair::generate().map_err(SelfSignedError::Make)?;
    let certificate = params.signed_by(&key, issuer).map_err(SelfSignedError::Make)?;
    let chain = vec![certificate.der().clone(), authority.clone()];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let certified = CertifiedKey::from_der(chain, key, &provider())
        .map_err(|source| TlsError::Unusable { path: PathBuf::from(PRIVATE.1), source })?;
    Ok(Arc::new(certified))
}

fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConnection, ServerConnection};

    use super::*;
    use crate::client_config;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    struct Dir(PathBuf);

    impl Dir {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("novagate-net-{}-own-{test}", std::process::id()));
            drop(fs::remove_dir_all(&path));
            Self(path)
        }

        fn open(&self, names: &[&str]) -> Result<SelfSigned, SelfSignedError> {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            SelfSigned::open(&self.0, &names, now())
        }

        fn mode(&self, path: &str) -> u32 {
            fs::metadata(self.0.join(path)).unwrap().permissions().mode() & 0o777
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.0.join(path)).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// rustls compares with the machine's clock, which tests do not read otherwise.
    fn now() -> SystemTime {
        let file = std::env::temp_dir().join(format!(
            "novagate-net-{}-now-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::write(&file, "").unwrap();
        let now = fs::metadata(&file).unwrap().modified().unwrap();
        fs::remove_file(&file).unwrap();
        now
    }

    /// A handshake in memory; the certificate that was shown.
    fn handshake(dir: &Dir, server: &SelfSigned, name: &str) -> Result<CertificateDer<'static>, rustls::Error> {
        let trusting = client_config(Some(&dir.0.join("public/ca.pem"))).unwrap();
        let mut client = ClientConnection::new(trusting, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
        let mut server = ServerConnection::new(server.server_config().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            bytes.clear();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(client.peer_certificates().unwrap().first().unwrap().clone().into_owned())
    }

    #[test]
    fn a_client_that_was_given_the_authority_trusts_every_name_and_no_other() {
        let dir = Dir::new("names");
        let own = dir.open(&["control.example", "localhost", "127.0.0.1", "::1", "not a name", ""]).unwrap();
        for name in ["control.example", "localhost", "127.0.0.1", "::1"] {
            handshake(&dir, &own, name).unwrap();
        }
        assert!(handshake(&dir, &own, "other.example").is_err());
    }

    #[test]
    fn the_authority_stays_and_certificates_are_made_anew() {
        let dir = Dir::new("stays");
        let first = dir.open(&["localhost"]).unwrap();
        let (public, before) = (dir.text("public/ca.pem"), handshake(&dir, &first, "localhost").unwrap());
        let second = dir.open(&["localhost", "new.example"]).unwrap();
        assert_eq!(dir.text("public/ca.pem"), public);
        assert_ne!(handshake(&dir, &second, "new.example").unwrap(), before);
    }

    #[test]
    fn a_renewed_certificate_is_shown_at_once() {
        let dir = Dir::new("renewed");
        let own = dir.open(&["localhost"]).unwrap();
        let before = handshake(&dir, &own, "localhost").unwrap();
        own.renew(now()).unwrap();
        assert_ne!(handshake(&dir, &own, "localhost").unwrap(), before);
        own.renew(START + DAY).unwrap();
        assert!(handshake(&dir, &own, "localhost").is_err(), "an expired one is refused");
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only_and_never_published() {
        let dir = Dir::new("modes");
        dir.open(&["localhost"]).unwrap();
        assert_eq!((dir.mode("tls"), dir.mode("tls/authority.pem")), (0o700, 0o600));
        assert_eq!((dir.mode("public"), dir.mode("public/ca.pem")), (0o755, 0o644));
        assert!(dir.text("tls/authority.pem").contains("PRIVATE KEY"));
        assert!(!dir.text("public/ca.pem").contains("PRIVATE KEY"));
    }

    #[test]
    fn a_published_copy_that_was_lost_or_changed_is_put_back() {
        let dir = Dir::new("copy");
        dir.open(&["localhost"]).unwrap();
        let public = dir.text("public/ca.pem");
        fs::write(dir.0.join("public/ca.pem"), "other").unwrap();
        dir.open(&["localhost"]).unwrap();
        assert_eq!(dir.text("public/ca.pem"), public);
    }

    #[test]
    fn a_damaged_authority_is_an_error_and_not_replaced() {
        let dir = Dir::new("damaged");
        dir.open(&["localhost"]).unwrap();
        fs::write(dir.0.join("tls/authority.pem"), "CANARY7F").unwrap();
        let fault = dir.open(&["localhost"]).unwrap_err();
        assert!(fault.to_string().contains("authority.pem is damaged"), "{fault}");
        assert!(!format!("{fault:?}").contains("CANARY7F"));
        assert_eq!(dir.text("tls/authority.pem"), "CANARY7F");
    }
}
