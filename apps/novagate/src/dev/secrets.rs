//! What `dev` must know again at its next start. Kept in the data directory, readable by its owner only.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use novagate_kernel::encode_hex;
use novagate_ports_base::Entropy;
use serde::{Deserialize, Serialize};

use super::StartError;

/// Secrets and ids of one data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevSecrets {
    pub(crate) platform_jwt_secret: String,
    pub(crate) jwt_secret: String,
    /// Set once the tenant exists.
    pub(crate) tenant: Option<DevTenant>,
}

/// The tenant of a data directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevTenant {
    pub(crate) id: String,
    pub(crate) email: String,
    /// The gateway's own copy, as an operator would keep it.
    pub(crate) gateway_api_key: String,
}

impl DevSecrets {
    /// Reads the file of a data directory, or makes new secrets.
    pub(crate) fn open(data_dir: &Path, entropy: &dyn Entropy) -> Result<Self, StartError> {
        let fault =
            |error: io::Error| StartError { text: format!("--data-dir {}: {error}", data_dir.display()), code: 69 };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(fault)?;
        match fs::read(file(data_dir)) {
            Ok(content) => serde_json::from_slice(&content).map_err(|_| StartError {
                text: format!("{} is damaged; remove the data directory to start over", file(data_dir).display()),
                code: 69,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = || encode_hex(&entropy.bytes::<32>());
                let secrets = Self { platform_jwt_secret: fresh(), jwt_secret: fresh(), tenant: None };
                secrets.keep(data_dir)?;
                Ok(secrets)
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// Writes the file: after a power loss it is the old or the new one.
    pub(crate) fn keep(&self, data_dir: &Path) -> Result<(), StartError> {
        let write = || -> io::Result<()> {
            let partial = data_dir.join("dev.partial");
            let mut options = fs::OpenOptions::new();
            let mut handle = options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
            handle.write_all(&serde_json::to_vec_pretty(self)?)?;
            handle.sync_all()?;
            fs::rename(partial, file(data_dir))
        };
        write().map_err(|error| StartError { text: format!("--data-dir {}: {error}", data_dir.display()), code: 69 })
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.json")
}
