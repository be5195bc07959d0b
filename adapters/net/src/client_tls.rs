//! TLS towards a server with authorities, a certificate and rules of its own.
//!
//! Always: a server's certificate is verified, for the name that is asked for; rules only add to that. A file is one that
//! lies in the folder whose name in it was given, wherever links in it lead. Not here: which servers have which rules, when
//! files are read anew (`adapters/http-edge`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme, SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;

use crate::certificates::{FileStamp, stamp};
use crate::tls::{HTTP_1_1, TlsError, certificates, own_roots, private_key, provider};

/// Whom this process trusts where nothing else is said.
#[derive(Debug, Clone)]
pub struct ClientTrust(Arc<RootCertStore>);

/// What is special about some connections; by default nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientRules {
    /// The only authorities that may vouch for the server; PEM.
    pub ca: Option<PathBuf>,
    /// The certificate chain that is shown, and its key; PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Nothing older than TLS 1.3 is spoken.
    pub only_tls_13: bool,
    /// SHA-256 digests of the public keys that the server may have; empty: any.
    pub pins: Vec<[u8; 32]>,
}

/// A folder of files that are known by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFolder(PathBuf);

type WantsVerifier = ConfigBuilder<ClientConfig, rustls::WantsVerifier>;
type WantsIdentity = ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

/// Verifies as usual, and then that the key is one of those.
#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ClientTrust {
    /// The public authorities compiled into the program, or, when `ca_file` is given, only those in it.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match ca_file {
            Some(path) => own_roots(path)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        Ok(Self(Arc::new(roots)))
    }

    /// A client by these rules; reads their files. Sessions are remembered for it alone.
    pub fn config(&self, rules: &ClientRules) -> Result<Arc<ClientConfig>, TlsError> {
        let roots = match &rules.ca {
            Some(path) => Arc::new(own_roots(path)?),
            None => Arc::clone(&self.0),
        };
        let versions: &[&SupportedProtocolVersion] =
            if rules.only_tls_13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(TlsError::Provider)?;
        let builder = match rules.pins.as_slice() {
            [] => builder.with_root_certificates(roots),
            pins => pinned(builder, roots, pins, rules.ca.as_deref())?,
        };
        let mut config = match &rules.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|source| TlsError::Unusable { path: cert.clone(), source })?,
        };
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }
}

fn pinned(
    builder: WantsVerifier,
    roots: Arc<RootCertStore>,
    pins: &[[u8; 32]],
    ca: Option<&Path>,
) -> Result<WantsIdentity, TlsError> {
    let usual = WebPkiServerVerifier::builder_with_provider(roots, provider());
    let path = || ca.map(Path::to_owned).unwrap_or_default();
    let usual = usual.build().map_err(|_unusable| TlsError::NoCertificate { path: path() })?;
    // The library calls whatever is not its own verifier dangerous; this one is its own, and a rule more.
    let verifier = Arc::new(Pinned { usual, pins: pins.to_vec() });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.usual.verify_server_cert(own, others, name, ocsp, now)?;
        let malformed = |_bad| Error::InvalidCertificate(CertificateError::BadEncoding);
        let key = EndEntityCert::try_from(own).map_err(malformed)?.subject_public_key_info();
        let digest: [u8; 32] = Sha256::digest(key.as_ref()).into();
        if self.pins.contains(&digest) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.usual.root_hint_subjects()
    }
}

impl ClientRules {
    /// When their files were last written: what is compared to see whether they have changed.
    pub fn stamps(&self) -> Vec<FileStamp> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(identity).map(|path| stamp(path)).collect()
    }
}

impl TlsFolder {
    /// The folder at this path, which need not exist yet.
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path of the file with this name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whether a file of [`Self::file`] is one, and lies in the folder with all its links resolved: secrets of clusters are
    /// links within their folder, a link out of it could show any file of the machine.
    pub fn holds(&self, path: &Path) -> Result<(), TlsError> {
        let unreadable = |source| TlsError::Unreadable { path: path.to_owned(), source };
        let (folder, real) =
            (fs::canonicalize(&self.0).map_err(unreadable)?, fs::canonicalize(path).map_err(unreadable)?);
        let is_file = fs::metadata(&real).map_err(unreadable)?.is_file();
        if is_file && real.starts_with(folder) { Ok(()) } else { Err(TlsError::NotInFolder { path: path.to_owned() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{Files, pair_for};

    #[test]
    fn a_folder_holds_its_files_and_nothing_that_links_lead_out_to() {
        let (files, other) = (Files::new("folder"), Files::new("folder-other"));
        let inside = files.write("inside.pem", "x");
        let outside = other.write("outside.pem", "x");
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, files.0.join(name));
        drop((link(&inside, "link.pem"), link(&outside, "leads-out.pem"), fs::create_dir_all(files.0.join("folder"))));
        let folder = TlsFolder::new(files.0.clone());
        for name in ["inside.pem", "link.pem"] {
            folder.holds(&folder.file(name)).unwrap();
        }
        for (name, rule) in
            [("leads-out.pem", "no file in its folder"), ("folder", "no file"), ("absent", "cannot read")]
        {
            let fault = folder.holds(&folder.file(name)).unwrap_err().to_string();
            assert!(fault.contains(rule), "{fault}");
        }
    }

    #[test]
    fn rules_are_made_of_files_that_belong_together() {
        let files = Files::new("rules");
        let ((cert, key), (_, other)) = (pair_for(&["a.example"]), pair_for(&["a.example"]));
        let (cert, key) = (files.write("cert.pem", &cert), files.write("key.pem", &key));
        let other = files.write("other.pem", &other);
        let trust = ClientTrust::load(None).unwrap();
        let good = ClientRules {
            ca: Some(cert.clone()),
            identity: Some((cert.clone(), key)),
            only_tls_13: true,
            pins: vec![[0; 32]],
        };
        assert!(trust.config(&good).unwrap().client_auth_cert_resolver.has_certs());
        let foreign = ClientRules { identity: Some((cert, other)), ..good.clone() };
        assert!(trust.config(&foreign).unwrap_err().to_string().contains("cannot be used"));
        let before = good.stamps();
        files.write("key.pem", "longer than before, or shorter");
        assert_ne!(good.stamps(), before);
        assert!(trust.config(&good).unwrap_err().to_string().contains("key.pem"));
    }
}
