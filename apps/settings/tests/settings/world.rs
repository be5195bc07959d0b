//! Environments and files that exist only in a test.

use std::{collections::BTreeMap, path::Path};

use novagate_settings::{ControlSettings, Environment, GatewaySettings, Problems};
use zeroize::Zeroizing;

/// What `--config` points to.
const CONFIG: &str = "/etc/novagate.toml";

pub(super) const KEY: &str = "gw_0190c6a0-7f3e-7000-8000-000000000001_00112233445566778899aabbccddeeff";
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

/// Variables, files by path, and perhaps a config file.
#[derive(Default)]
pub(super) struct World {
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl World {
    /// What a gateway needs at least.
    pub(super) fn gateway() -> Self {
        Self::default()
            .set("CONTROL_PLANE_URL", "wss://cp.example.com")
            .set("GATEWAY_API_KEY", KEY)
            .set("JWT_SECRET", SECRET)
    }

    /// What a control plane needs at least.
    pub(super) fn control() -> Self {
        Self::default().set("PLATFORM_JWT_SECRET", SECRET)
    }

    pub(super) fn set(mut self, key: &str, value: &str) -> Self {
        self.variables.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(super) fn without(mut self, key: &str) -> Self {
        self.variables.remove(key);
        self
    }

    pub(super) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    pub(super) fn config(self, toml: &str) -> Self {
        self.file(CONFIG, toml)
    }

    pub(super) fn read_gateway(self) -> Result<GatewaySettings, Problems> {
        let config = self.files.contains_key(CONFIG).then(|| Path::new(CONFIG));
        GatewaySettings::read(&self.environment(), config)
    }

    pub(super) fn read_control(self) -> Result<ControlSettings, Problems> {
        let config = self.files.contains_key(CONFIG).then(|| Path::new(CONFIG));
        ControlSettings::read(&self.environment(), config)
    }

    pub(super) fn environment(self) -> Environment {
        let Self { variables, files } = self;
        Environment::new(variables, move |path: &Path| {
            let found = path.to_str().and_then(|path| files.get(path));
            found.map(|content| Zeroizing::new(content.clone())).ok_or("the file does not exist")
        })
    }
}

/// The one line that was expected, or all that was found.
pub(super) fn lines<T>(read: Result<T, Problems>) -> Vec<String> {
    read.err().map(|problems| problems.iter().map(ToString::to_string).collect()).unwrap_or_default()
}
