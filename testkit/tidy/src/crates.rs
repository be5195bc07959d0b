//! The crates of the workspace, their layers, and what they depend on, as cargo sees it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::repository_root;

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its folder, from the root.
    pub folder: String,
    /// Where it belongs.
    pub layer: Layer,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// One arrow.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The crate's name.
    pub name: String,
    /// For a crate of the workspace, its folder.
    pub folder: Option<String>,
    /// Whether only tests use it.
    pub for_tests: bool,
}

/// Where a crate belongs; the folder decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Pure decisions.
    Domain,
    /// Traits between inside and outside.
    Ports,
    /// One technology each.
    Adapters,
    /// Use cases.
    Core,
    /// Raw settings to typed settings.
    Settings,
    /// Programs.
    Program,
    /// Tables of the databases.
    Migrations,
    /// What is never shipped.
    Testkit,
}

impl Layer {
    /// The layer of a folder.
    pub fn of(folder: &str) -> Option<Self> {
        match folder.split_once('/') {
            Some(("domain", _)) => Some(Self::Domain),
            Some(("ports", _)) => Some(Self::Ports),
            Some(("adapters", _)) => Some(Self::Adapters),
            Some(("apps", "control-core" | "edge-core")) => Some(Self::Core),
            Some(("apps", "settings")) => Some(Self::Settings),
            Some(("apps", _)) => Some(Self::Program),
            Some(("testkit", _)) => Some(Self::Testkit),
            None if folder == "migrations" => Some(Self::Migrations),
            Some(_) | None => None,
        }
    }
}

/// Every crate of the workspace.
///
/// # Errors
/// Cargo does not answer, or a crate lies in a folder of no layer.
pub fn crates() -> Result<Vec<Crate>> {
    let root = repository_root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(&root);
    let output = command.output().context("cargo does not start")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    metadata.packages.iter().map(|package| package.to_crate(&root)).collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<RawDependency>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    path: Option<String>,
    kind: Option<String>,
}

impl Package {
    fn to_crate(&self, root: &Path) -> Result<Crate> {
        let folder = relative(Path::new(&self.manifest_path).parent().context("a manifest without folder")?, root)?;
        let layer = Layer::of(&folder).with_context(|| format!("{folder} is a folder of no layer"))?;
        let dependencies = self.dependencies.iter().map(|raw| {
            let folder = raw.path.as_ref().map(|path| relative(Path::new(path), root)).transpose()?;
            Ok(Dependency { name: raw.name.clone(), folder, for_tests: raw.kind.as_deref() == Some("dev") })
        });
        Ok(Crate { name: self.name.clone(), layer, dependencies: dependencies.collect::<Result<_>>()?, folder })
    }
}

fn relative(path: &Path, root: &Path) -> Result<String> {
    Ok(path.strip_prefix(root).context("a crate outside of the workspace")?.to_string_lossy().into_owned())
}
