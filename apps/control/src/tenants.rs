//! The operator's commands about tenants.
//!
//! Always: they work on the storage directly, beside a running control plane or without one; a secret is printed once or
//! written to the file that was asked for, never both. Not here: what the commands mean (`apps/control-core`).

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use novagate_access::{EmailAddress, GatewayKey, Password, PasswordRules, TenantScope};
use novagate_control::{Built, StartError, World, build};
use novagate_documents::config::parse_config_yaml;
use novagate_kernel::{ErrorCode, TenantId, encode_hex};
use novagate_net::Tasks;
use novagate_policies::ConfigObject;
use novagate_ports_control::inbound::{ConfigAdmin as _, FieldFault, Refusal};
use novagate_ports_control::outbound::TenantState;
use novagate_settings::ControlSettings;

#[derive(Subcommand)]
pub(crate) enum Tenants {
    /// Create a tenant and print its credentials, this once.
    Create(Create),
    /// List the ids of all tenants.
    List,
    /// Refuse management and sync of a tenant; its gateways go on serving.
    Suspend {
        /// The tenant's id.
        tenant: String,
    },
    /// Take a suspension back.
    Resume {
        /// The tenant's id.
        tenant: String,
    },
    /// After a restore from backup: draw new epochs, so that every gateway gets a snapshot.
    NewEpoch {
        /// One tenant's id.
        #[arg(required_unless_present = "all")]
        tenant: Option<String>,
        /// All tenants.
        #[arg(long, conflicts_with = "tenant")]
        all: bool,
    },
}

/// A tenant to be created.
#[derive(Args)]
pub(crate) struct Create {
    /// Display name.
    #[arg(long)]
    name: String,
    /// The account's address.
    #[arg(long)]
    email: String,
    /// Take the password from this file instead of making and printing one.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Write the gateway key to this file, readable by its owner only, instead of printing it.
    ///
    /// It must not exist, unless --if-absent says that one of a tenant that is no more may be replaced.
    #[arg(long)]
    gateway_key_file: Option<PathBuf>,
    /// Publish the configuration in this file (YAML or JSON) as the tenant's first one.
    #[arg(long)]
    apply: Option<PathBuf>,
    /// Change nothing and succeed when the address has an account already and the gateway key's file is there.
    #[arg(long)]
    if_absent: bool,
}

/// Runs a command over storage that it opens and closes.
pub(crate) async fn run(command: Tenants, settings: &ControlSettings) -> Result<(), StartError> {
    let world = World::default();
    let built = build(settings, &world, &Tasks::new()).await?;
    let outcome = obey(command, &built, &world).await;
    built.store.close().await;
    outcome
}

async fn obey(command: Tenants, built: &Built, world: &World) -> Result<(), StartError> {
    let control = &built.control;
    let failed = |source| StartError::Service { what: "the storage refused", source };
    match command {
        Tenants::Create(create) => create.run(built, world).await,
        Tenants::List => {
            for tenant in control.all_tenants().await.map_err(failed)? {
                println!("{tenant}");
            }
            Ok(())
        }
        Tenants::Suspend { tenant } => {
            let known = control.set_tenant_state(tenant_id(&tenant)?, TenantState::Suspended).await.map_err(failed)?;
            found(known)
        }
        Tenants::Resume { tenant } => {
            let known = control.set_tenant_state(tenant_id(&tenant)?, TenantState::Active).await.map_err(failed)?;
            found(known)
        }
        Tenants::NewEpoch { tenant: Some(tenant), .. } => {
            found(control.renew_epoch(tenant_id(&tenant)?).await.map_err(failed)?)
        }
        Tenants::NewEpoch { tenant: None, .. } => {
            for tenant in control.all_tenants().await.map_err(failed)? {
                control.renew_epoch(tenant).await.map_err(failed)?;
            }
            Ok(())
        }
    }
}

impl Create {
    /// Everything that can be wrong with the arguments is found before anything is made.
    async fn run(self, built: &Built, world: &World) -> Result<(), StartError> {
        let email = EmailAddress::parse(&self.email).map_err(|error| setting(format!("--email {error}")))?;
        let (password, made) = self.password(world)?;
        let drafts = self.apply.as_deref().map(read_config).transpose()?;
        if !self.if_absent && self.gateway_key_file.as_ref().is_some_and(|path| path.exists()) {
            return Err(setting("--gateway-key-file exists already"));
        }
        let created = match built.control.create_tenant_as_operator(self.name.clone(), email, password).await {
            Ok(created) => created,
            Err(refusal) if refusal.code == ErrorCode::EmailTaken && self.if_absent => return self.is_there(),
            Err(refusal) => return Err(setting(refusal.to_string())),
        };
        println!("tenantId       {}", created.tenant);
        if let Some(text) = &made {
            println!("password       {text}");
        }
        match &self.gateway_key_file {
            None => println!("gatewayApiKey  {}", created.gateway_key.expose()),
            Some(path) => write_key(path, &created.gateway_key)?,
        }
        if made.is_some() || self.gateway_key_file.is_none() {
            println!("These are shown once. Change the password after the first login.");
        }
        let Some(drafts) = drafts else { return Ok(()) };
        let scope = TenantScope::for_provisioning(created.tenant);
        let applied = built.control.apply(&scope, drafts, None, false).await;
        applied
            .map(drop)
            .map_err(|refusal| setting(format!("the tenant is there, without --apply: {}", explain(&refusal))))
    }

    /// The tenant was created before.
    fn is_there(&self) -> Result<(), StartError> {
        match &self.gateway_key_file {
            Some(path) if !path.exists() => Err(setting(
                "--gateway-key-file is not there, but the account is: make a new gateway key with POST \
                 /api/v1/tenants/{t}/gateway-keys and write it there",
            )),
            Some(_) | None => {
                println!("the address has an account already; nothing is changed");
                Ok(())
            }
        }
    }

    /// The password, and its text when nobody else knows it.
    fn password(&self, world: &World) -> Result<(Password, Option<String>), StartError> {
        let Some(path) = &self.password_file else {
            let text = encode_hex(&world.entropy.bytes::<12>());
            let password =
                PasswordRules::check(text.clone()).map_err(|error| StartError::Internal(error.to_string()))?;
            return Ok((password, Some(text)));
        };
        let text =
            novagate_system::read_secret_file(path).map_err(|error| setting(format!("--password-file: {error}")))?;
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        let password = PasswordRules::check(text).map_err(|error| setting(format!("--password-file: {error}")))?;
        Ok((password, None))
    }
}

/// JSON is YAML too.
fn read_config(path: &Path) -> Result<Vec<ConfigObject>, StartError> {
    let text = fs::read_to_string(path).map_err(|error| setting(format!("--apply {}: {error}", path.display())))?;
    parse_config_yaml(&text).map_err(|faults| setting(format!("--apply {}:{}", path.display(), lines(&faults))))
}

fn write_key(path: &Path, key: &GatewayKey) -> Result<(), StartError> {
    let partial = path.with_extension("partial");
    let write = || {
        // Made anew, so that its mode is ours.
        drop(fs::remove_file(&partial));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        writeln!(file, "{}", key.expose())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|error: std::io::Error| {
        let path = path.display();
        setting(format!("--gateway-key-file {path}: {error}; the tenant is there, make a new gateway key for it"))
    })
}

fn explain(refusal: &Refusal) -> String {
    format!("{refusal}{}", lines(&refusal.fields))
}

fn lines(faults: &[FieldFault]) -> String {
    faults.iter().fold(String::new(), |mut text, fault| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {}: {}", if fault.pointer.is_empty() { "/" } else { &fault.pointer }, fault.message);
        text
    })
}

fn setting(text: impl Into<String>) -> StartError {
    StartError::Setting(text.into())
}

fn tenant_id(text: &str) -> Result<TenantId, StartError> {
    TenantId::parse(text).map_err(|error| setting(format!("the tenant's id is {error}")))
}

fn found(known: bool) -> Result<(), StartError> {
    if known { Ok(()) } else { Err(setting("there is no such tenant")) }
}
