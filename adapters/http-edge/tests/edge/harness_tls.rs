//! Authorities, certificates in files, and upstreams that tell what was agreed on in TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use novagate_net::client_config;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use crate::harness::PATIENCE;

/// Somebody who signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate that an authority has signed, and its key.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// A folder of one test, gone with the value.
pub(crate) struct Folder(pub(crate) PathBuf);

/// An upstream that speaks TLS and answers with one line: the number of the connection, the name it was asked for (SNI), the
/// certificate it was shown.
pub(crate) struct TlsUpstream {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Targets of requests, with the certificates that came with them.
    pub(crate) seen: Arc<Seen>,
}

type Talk = StreamOwned<ServerConnection, TcpStream>;
type Seen = Mutex<Vec<(String, String)>>;

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(client_config(None).unwrap().crypto_provider())
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// A certificate for these names with this common name.
    pub(crate) fn issue(&self, common_name: &str, names: &[&str]) -> Issued {
        self.issue_with(common_name, names, |_params| ())
    }

    pub(crate) fn issue_with(
        &self,
        common_name: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Issued {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// What identifies it.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.der())
    }

    /// The SHA-256 of its public key, in hexadecimal.
    pub(crate) fn pin(&self) -> String {
        let key = KeyPair::from_pem(&self.key).unwrap();
        hex(&Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)))
    }

    /// A client that trusts `server` and shows this certificate.
    pub(crate) fn client(&self, server: RootCertStore) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(server);
        Arc::new(config.with_client_auth_cert(vec![self.der()], self.private_key()).unwrap())
    }

    /// A server that shows this certificate; with `clients` it asks for theirs, and `must` says whether they have to have one.
    pub(crate) fn server(
        &self,
        clients: Option<(&Authority, bool)>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some((authority, must)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider());
                let verifier = if must { verifier } else { verifier.allow_unauthenticated() };
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        Arc::new(config.with_single_cert(vec![self.der()], self.private_key()).unwrap())
    }
}

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("novagate-http-edge-{}-folder-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Puts a file there as a whole.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let partial = self.0.join(format!("{name}.partial"));
        fs::write(&partial, text).unwrap();
        fs::rename(partial, self.0.join(name)).unwrap();
    }

    /// The certificate `stem.pem` and the key `stem.key`.
    pub(crate) fn put(&self, stem: &str, issued: &Issued) {
        self.write(&format!("{stem}.pem"), &issued.cert);
        self.write(&format!("{stem}.key"), &issued.key);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl TlsUpstream {
    pub(crate) fn serve(config: Arc<ServerConfig>) -> Self {
        Self::start(config, answer)
    }

    /// Reads one request of a connection and says nothing.
    pub(crate) fn silent(config: Arc<ServerConfig>) -> Self {
        Self::start(config, |_number, stream, log| {
            read_head(stream, log)?;
            stream.read(&mut [0]).map(drop).ok()
        })
    }

    fn start(config: Arc<ServerConfig>, talk: fn(usize, &mut Talk, &Seen) -> Option<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr: SocketAddr = listener.local_addr().unwrap();
        let (connections, seen) = (Arc::<AtomicUsize>::default(), Arc::<Seen>::default());
        let (count, log) = (Arc::clone(&connections), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (config, log) = (Arc::clone(&config), Arc::clone(&log));
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                std::thread::spawn(move || talk(number, &mut stream, &log));
            }
        });
        Self { url: format!("https://{addr}"), connections, seen }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers requests without bodies to the end of the connection.
fn answer(number: usize, stream: &mut Talk, log: &Seen) -> Option<()> {
    loop {
        let shown = read_head(stream, log)?;
        let line = format!("{number} {} {shown}", stream.conn.server_name().unwrap_or("none"));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len());
        stream.write_all(answer.as_bytes()).ok()?;
        stream.flush().ok()?;
    }
}

/// Notes the next request; what certificate came with it.
fn read_head(stream: &mut Talk, log: &Seen) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let shown =
        stream.conn.peer_certificates().and_then(|chain| chain.first()).map_or("none".to_owned(), fingerprint_of);
    let target = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push((target, shown.clone()));
    Some(shown)
}

fn fingerprint_of(certificate: &CertificateDer<'_>) -> String {
    fingerprint(certificate)
}

fn fingerprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

fn hex(bytes: &[u8]) -> String {
    novagate_kernel::encode_hex(bytes)
}
