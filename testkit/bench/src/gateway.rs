//! Our programs, started the way operators do: settings in the environment, request log on standard output.
//!
//! Not here: which configuration, what is measured.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::config::JWT_SECRET;
use crate::http::{self, Request};
use crate::process::Program;
use crate::wait;
use crate::workspace::{Scope, WorkDir, append_to, free_addresses};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// Where a gateway's configuration comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin<'a> {
    /// A file in the config language.
    File(&'a Path),
    /// A control plane.
    ControlPlane { address: SocketAddr, api_key: &'a str },
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) traffic: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) request_log: PathBuf,
}

impl Gateway {
    /// Starts one with one worker; `name` is unique in `work`. It need not be ready yet.
    pub(crate) fn start(scope: &Scope, work: &WorkDir, name: &str, origin: &Origin<'_>) -> Result<Self> {
        Self::start_with(scope, work, name, origin, &[])
    }

    /// The same with more settings.
    pub(crate) fn start_with(
        scope: &Scope,
        work: &WorkDir,
        name: &str,
        origin: &Origin<'_>,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        Self::launch(Command::new(scope.program("novagate-gateway")?), work, name, origin, more)
    }

    /// The same by a command that may put something between.
    pub(crate) fn launch(
        mut command: Command,
        work: &WorkDir,
        name: &str,
        origin: &Origin<'_>,
        more: &[(&str, &str)],
    ) -> Result<Self> {
        let [traffic, admin] = free_addresses()?;
        let request_log = work.path().join(format!("{name}.log"));
        command.env_clear().stdout(append_to(&request_log)?);
        let settings = [
            ("HOST", traffic.ip().to_string()),
            ("PORT", traffic.port().to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("DATA_DIR", work.dir(name)?.display().to_string()),
            ("JWT_SECRET", JWT_SECRET.to_owned()),
            ("WORKERS", "1".to_owned()),
            ("RATE_LIMIT_WINDOW_MS", "1000".to_owned()),
            ("RATE_LIMIT_UNAUTH_MAX", "1000000".to_owned()),
            ("RATE_LIMIT_AUTH_MAX", "1000000".to_owned()),
            ("DRAIN_MS", "0".to_owned()),
        ];
        command.envs(settings).envs(more.iter().copied());
        match origin {
            Origin::File(path) => command.env("CONFIG_FILE", path),
            Origin::ControlPlane { address, api_key } => {
                command.env("CONTROL_PLANE_URL", format!("ws://{address}")).env("GATEWAY_API_KEY", api_key)
            }
        };
        let program = Program::start(name, work.path(), &mut command)?;
        Ok(Self { program, traffic, admin, request_log })
    }

    /// Waits until it answers this request with 200.
    pub(crate) fn ready(&mut self, request: Request<'_>) -> Result<()> {
        self.ready_within(request, READY_WITHIN)
    }

    /// The same for one that needs longer.
    pub(crate) fn ready_within(&mut self, request: Request<'_>, limit: Duration) -> Result<()> {
        wait::until("the gateway's first 200", limit, wait::UNHURRIED, || {
            self.program.still_runs()?;
            Ok(http::ask(self.traffic, request).ok().filter(|answer| answer.status == 200).map(drop))
        })
    }

    /// Waits until it takes connections, whatever it speaks on them.
    pub(crate) fn listens(&mut self) -> Result<()> {
        wait::until("the gateway's port", READY_WITHIN, wait::UNHURRIED, || {
            self.program.still_runs()?;
            Ok(TcpStream::connect(self.traffic).ok().map(drop))
        })
    }
}

/// A running control plane on SQLite.
#[derive(Debug)]
pub(crate) struct Control {
    _program: Program,
    pub(crate) address: SocketAddr,
}

impl Control {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(scope: &Scope, work: &WorkDir) -> Result<Self> {
        let [address, ops] = free_addresses()?;
        let mut command = Command::new(scope.program("novagate-control")?);
        command.arg("serve").env_clear().stdout(append_to(&work.path().join("control.log"))?);
        command.envs([
            ("LISTEN_ADDR", address.to_string()),
            ("OPS_ADDR", ops.to_string()),
            ("DATA_DIR", work.dir("control")?.display().to_string()),
            ("PLATFORM_JWT_SECRET", "the-platform-secret-of-the-benchmarks".to_owned()),
            ("REGISTRATION", "open".to_owned()),
            ("DRAIN_MS", "0".to_owned()),
        ]);
        let mut program = Program::start("control", work.path(), &mut command)?;
        wait::until("the control plane", READY_WITHIN, wait::UNHURRIED, || {
            program.still_runs()?;
            let ready = http::ask(address, Request::get("/readyz", None));
            Ok(ready.ok().filter(|answer| answer.status == 200).map(drop))
        })?;
        Ok(Self { _program: program, address })
    }
}
