//! A control plane of the benchmark's own: started over a database, and asked by tenants that it knows.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use novagate_access::PlatformClaims;
use novagate_kernel::TenantId;
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::PlatformTokens as _;
use novagate_system::SystemClock;
use novagate_tokens::{PLATFORM_LIFETIME, PlatformTokenSigner};

use crate::database::Prepared;
use crate::http::{Connection, Request};
use crate::process::Program;
use crate::wait;
use crate::workspace::{Scope, WorkDir, free_addresses};

const SECRET: &str = "a secret of the benchmark, 32 and more";
const START_WITHIN: Duration = Duration::from_mins(1);

/// A running control plane.
pub(super) struct Plane {
    program: Program,
    connection: Connection,
    signer: PlatformTokenSigner,
    /// Milliseconds from the start of the process until it was ready.
    pub(super) starting: f64,
    _work: WorkDir,
}

impl Plane {
    pub(super) fn start(scope: &Scope, prepared: &Prepared) -> Result<Self> {
        let work = WorkDir::new("tenants")?;
        let [public, ops] = free_addresses()?;
        let mut command = Command::new(scope.program("novagate-control")?);
        command.arg("serve").env_clear().stdout(Stdio::null()).current_dir(work.path());
        command.env("DATABASE_URL", prepared.serving_url()).env("PLATFORM_JWT_SECRET", SECRET);
        command.env("LISTEN_ADDR", public.to_string()).env("OPS_ADDR", ops.to_string()).env("DATA_DIR", work.path());
        let begin = Instant::now();
        let mut program = Program::start("novagate-control", work.path(), &mut command)?;
        let (starting, connection) = wait::until("a start", START_WITHIN, Duration::from_millis(2), || {
            program.still_runs()?;
            let Ok(mut connection) = Connection::open(public) else { return Ok(None) };
            let answer = connection.send(Request::get("/readyz", None))?;
            Ok((answer.status == 200).then(|| (begin.elapsed().as_secs_f64() * 1e3, connection)))
        })?;
        Ok(Self { program, connection, signer: PlatformTokenSigner::new(SECRET, None)?, starting, _work: work })
    }

    /// KiB of memory that the process has at this moment.
    pub(super) fn memory(&self) -> Result<f64> {
        self.program.resident_kib()
    }

    /// Milliseconds of a tenant's reading of its services.
    pub(super) fn read(&mut self, tenant: TenantId) -> Result<f64> {
        let issued_at = SystemClock.now();
        let claims = PlatformClaims { tenant, generation: 0, issued_at, expires_at: issued_at.plus(PLATFORM_LIFETIME) };
        let token = self.signer.issue(&claims)?;
        let path = format!("/api/v1/tenants/{tenant}/services");
        let begin = Instant::now();
        let answer = self.connection.send(Request::get(&path, Some(&token)))?;
        let took = begin.elapsed().as_secs_f64() * 1e3;
        ensure!(answer.status == 200, "the services of a tenant: {} {}", answer.status, answer.text());
        Ok(took)
    }
}
