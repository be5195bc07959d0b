//! TLS configurations for both directions.
//!
//! Always: the provider is aws-lc-rs, named here and never left to which crates happen to be linked; an error names the
//! file and never repeats what is in it. Not here: which certificate a client is shown (`certificates`, `self_signed`), ALPN
//! other than HTTP/1.1, authorities and certificates of a connection of its own (`client_tls`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WantsServerCert, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};

use crate::client_tls::{ClientRules, ClientTrust};

pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file holds no well-formed PEM.
    #[error("{path} is not well-formed PEM", path = path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no certificate.
    #[error("{path} holds no certificate", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// What a file holds as a certificate is none.
    #[error("{path} holds no X.509 certificate", path = path.display())]
    NotACertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no private key.
    #[error("{path} holds no private key", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are readable and unusable, for instance because they are no pair.
    #[error("{path} cannot be used", path = path.display())]
    Unusable {
        /// The file of the certificates.
        path: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// A name leads out of the folder that it is a name in, or to something that is no file.
    #[error("{path} is no file in its folder", path = path.display())]
    NotInFolder {
        /// The file.
        path: PathBuf,
    },
    /// Files are named, and there is no folder for them.
    #[error("UPSTREAM_TLS_DIR is not set")]
    NoFolder,
    /// The provider offers no protocol version: a defect of the build.
    #[error("the TLS provider offers no protocol version")]
    Provider(#[source] rustls::Error),
}

/// Makes aws-lc-rs the default of this process, for libraries that ask for a default. First thing in every `main`;
/// calling it again is harmless.
pub fn install_crypto_provider() {
    // Fails only when a default is installed already, and nobody but us installs one.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// A server of this provider and protocol, with the certificate that `finish` adds; `clients` says whose certificates are
/// asked for, if any. Without them sessions are resumed with tickets that the server need not remember; a ticket would carry
/// a client's certificate past its time.
pub(crate) fn server_config_of(
    clients: Option<Arc<dyn ClientCertVerifier>>,
    finish: impl FnOnce(ConfigBuilder<ServerConfig, WantsServerCert>) -> Result<ServerConfig, TlsError>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let resumes = clients.is_none();
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = finish(builder)?;
    if resumes {
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Provider)?;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

/// A client that trusts the public roots compiled into the program, or, when `ca_file` is given, only the authorities in
/// it: whoever runs an authority of their own for this connection wants no other one to vouch for it.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    ClientTrust::load(ca_file)?.config(&ClientRules::default())
}

pub(crate) fn own_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// The first private key in a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|fault| {
        let path = path.to_owned();
        if matches!(fault, pem::Error::NoItemsFound) { TlsError::NoKey { path } } else { TlsError::NotPem { path } }
    })
}

/// All certificates in a file, of which there is at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(chain) if chain.is_empty() => Err(TlsError::NoCertificate { path: path.to_owned() }),
        Ok(chain) => Ok(chain),
        // The parser's error quotes the offending line.
        Err(_quoting) => Err(TlsError::NotPem { path: path.to_owned() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Files of one test, gone with the value.
    pub(crate) struct Files(pub(crate) PathBuf);

    impl Files {
        pub(crate) fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("novagate-net-{}-{test}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A certificate that nobody else has signed, and its key.
    pub(crate) fn pair_for(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Files, pair_for};
    use super::*;
    use crate::{CertificateFile, CertificateFiles, ClientAuth};

    fn server_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
        let file = CertificateFile { cert: cert.to_owned(), key: key.to_owned() };
        CertificateFiles::load(vec![file])?.server_config(&ClientAuth::None)
    }

    fn pair() -> (String, String) {
        pair_for(&["localhost"])
    }

    #[test]
    fn both_directions_speak_only_http_1_1() {
        let files = Files::new("alpn");
        let (cert, key) = pair();
        let (cert, key) = (files.write("cert.pem", &cert), files.write("key.pem", &key));
        assert_eq!(server_config(&cert, &key).unwrap().alpn_protocols, [HTTP_1_1.to_vec()]);
        assert_eq!(client_config(Some(&cert)).unwrap().alpn_protocols, [HTTP_1_1.to_vec()]);
        assert!(client_config(None).is_ok());
    }

    #[test]
    fn the_provider_is_installed_once_and_again() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(CryptoProvider::get_default().is_some());
    }

    #[test]
    fn errors_name_the_file_and_never_its_content() {
        let files = Files::new("errors");
        let (cert, key) = pair();
        let (_, other_key) = pair();
        let cert = files.write("cert.pem", &cert);
        let good_key = files.write("key.pem", &key);
        let foreign = files.write("foreign.pem", &other_key);
        let empty = files.write("empty.pem", "");
        let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nCANARY7F!\n-----END CERTIFICATE-----\n");
        let absent = files.0.join("absent.pem");

        let faults = [
            (server_config(&cert, &foreign).unwrap_err(), "cert.pem cannot be used"),
            (server_config(&good_key, &good_key).unwrap_err(), "key.pem holds no certificate"),
            (server_config(&cert, &cert).unwrap_err(), "cert.pem holds no private key"),
            (server_config(&broken, &good_key).unwrap_err(), "broken.pem is not well-formed PEM"),
            (server_config(&cert, &absent).unwrap_err(), "absent.pem"),
            (client_config(Some(&empty)).unwrap_err(), "empty.pem holds no certificate"),
            (client_config(Some(&absent)).unwrap_err(), "cannot read"),
        ];
        for (fault, expected) in faults {
            assert!(fault.to_string().contains(expected), "{fault}");
            assert!(!format!("{fault:?}").contains("CANARY7F"));
        }
    }
}
