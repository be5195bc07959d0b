//! Starting and stopping everything in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use novagate_control::RunningControl;
use novagate_gateway::RunningGateway;
use novagate_net::Tasks;
use novagate_ports_base::{Clock, Entropy};
use novagate_settings::{ControlSettings, Environment, GatewaySettings};
use novagate_system::{OsEntropy, PassedListeners, SystemClock};

use super::{
    DevArguments, StartError,
    demo::{self, Shown},
    secrets::{DevSecrets, DevTenant},
    upstream,
};

/// How long the gateway may take to serve the newest revision at start.
const READY_WITHIN: Duration = Duration::from_secs(15);
const DRAIN: Duration = Duration::from_secs(5);

/// Everything that runs.
pub(crate) struct Stack {
    pub(crate) control: RunningControl,
    pub(crate) gateway: RunningGateway,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) tenant: DevTenant,
    /// Only at the first start of a data directory.
    pub(crate) shown: Option<Shown>,
    pub(crate) consumer_jwt: Option<String>,
    tasks: Tasks,
}

impl Stack {
    pub(crate) async fn start(arguments: &DevArguments) -> Result<Self, StartError> {
        let (entropy, clock): (Arc<dyn Entropy>, Arc<dyn Clock>) = (Arc::new(OsEntropy), Arc::new(SystemClock));
        let tasks = Tasks::new();
        let mut secrets = DevSecrets::open(&arguments.data_dir, entropy.as_ref())?;
        let demo_upstream = (!arguments.no_demo)
            .then(|| upstream::start(arguments.upstream_addr, "--upstream-addr", &tasks))
            .transpose()?;
        let control = novagate_control::start(&control_settings(arguments, &secrets)?).await;
        let control = control.map_err(|error| StartError::of_program(&error.to_string(), error.exit_code()))?;
        let (tenant, shown) = if let Some(tenant) = secrets.tenant.clone() {
            (tenant, None)
        } else {
            let (tenant, shown) = demo::seed(&control.control, entropy.as_ref(), demo_upstream).await?;
            secrets.tenant = Some(tenant.clone());
            secrets.keep(&arguments.data_dir)?;
            (tenant, Some(shown))
        };
        let settings = gateway_settings(arguments, &secrets, &tenant, control.addr)?;
        let gateway = novagate_gateway::start(settings, PassedListeners::default()).await;
        let gateway = gateway.map_err(|error| StartError::of_program(&error.to_string(), error.exit_code()))?;
        let head = demo::head(&control.control, &tenant).await?;
        if !gateway.serves_within(head, READY_WITHIN).await {
            return Err(StartError::internal("the gateway did not get its configuration in time"));
        }
        let consumer_jwt = if arguments.no_demo {
            None
        } else {
            let lifetime = Duration::from_hours(24);
            let jwt = novagate_tokens::mint_hs256(&secrets.jwt_secret, demo::CONSUMER, clock.now().plus(lifetime));
            Some(jwt.map_err(StartError::internal)?)
        };
        Ok(Self { control, gateway, upstream: demo_upstream, tenant, shown, consumer_jwt, tasks })
    }

    /// Stops in the order of traffic: gateway, control plane, upstream.
    pub(crate) async fn stop(self) {
        self.gateway.stop().await;
        self.control.stop().await;
        self.tasks.shutdown(DRAIN).await;
    }
}

fn control_settings(arguments: &DevArguments, secrets: &DevSecrets) -> Result<ControlSettings, StartError> {
    let variables = [
        ("PLATFORM_JWT_SECRET", secrets.platform_jwt_secret.clone()),
        ("LISTEN_ADDR", arguments.control_addr.to_string()),
        ("OPS_ADDR", "127.0.0.1:0".to_owned()),
        ("DATA_DIR", folder(&arguments.data_dir, "control")),
        ("LOG_LEVEL", "warn".to_owned()),
        ("DRAIN_MS", DRAIN.as_millis().to_string()),
    ];
    ControlSettings::read(&environment(variables), None)
        .map_err(|problems| StartError::of_program(&problems.to_string(), 64))
}

fn gateway_settings(
    arguments: &DevArguments,
    secrets: &DevSecrets,
    tenant: &DevTenant,
    control: SocketAddr,
) -> Result<GatewaySettings, StartError> {
    let variables = [
        ("CONTROL_PLANE_URL", format!("ws://{control}")),
        ("ALLOW_INSECURE_CONTROL_PLANE", (!control.ip().is_loopback()).to_string()),
        ("GATEWAY_API_KEY", tenant.gateway_api_key.clone()),
        ("JWT_SECRET", secrets.jwt_secret.clone()),
        ("HOST", arguments.gateway_addr.ip().to_string()),
        ("PORT", arguments.gateway_addr.port().to_string()),
        ("ADMIN_ADDR", arguments.gateway_admin_addr.to_string()),
        ("DATA_DIR", folder(&arguments.data_dir, "gateway")),
        // What the limit of open files of most desktops allows.
        ("MAX_CONNECTIONS", "1000".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
        ("DRAIN_MS", DRAIN.as_millis().to_string()),
    ];
    GatewaySettings::read(&environment(variables), None)
        .map_err(|problems| StartError::of_program(&problems.to_string(), 64))
}

fn environment<const N: usize>(variables: [(&str, String); N]) -> Environment {
    let variables = variables.map(|(key, value)| (key.to_owned(), value));
    Environment::new(variables, novagate_system::read_secret_file)
}

fn folder(data_dir: &Path, name: &str) -> String {
    data_dir.join(name).display().to_string()
}
