//! A certificate authority of a test's own.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};

use crate::Folder;

/// An authority with one server certificate for `localhost` and 127.0.0.1.
pub struct Authority {
    folder: Folder,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Where the files of a server are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; nobody trusts it yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "NovaGate e2e");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = Folder::new("authority");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("the folder can be written");
        Self { folder, issuer }
    }

    /// Its certificate, as clients need it.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server's certificate.
    pub fn issue(&self) -> TlsFiles {
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("good names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files =
            TlsFiles { cert: self.folder.path().join("server.pem"), key: self.folder.path().join("server.key") };
        std::fs::write(&files.cert, certificate.pem()).expect("the folder can be written");
        std::fs::write(&files.key, key.serialize_pem()).expect("the folder can be written");
        files
    }

    /// A client that trusts this authority alone.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a well-formed authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(builder.expect("the default versions").with_root_certificates(roots).with_no_client_auth())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
