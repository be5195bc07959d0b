//! A gateway node in a folder of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use serde_json::Value;

use crate::{Exit, Folder, Holdings, PATIENCE, Process, Request, Response, free_port, request, wait_until};

/// The secret that signs the tokens of clients in every test.
pub const EDGE_SECRET: &str = "edge-secret-of-the-e2e-tests-00000001";

/// What a gateway is told.
#[derive(Debug, Default)]
pub struct GatewayOptions<'a> {
    /// `CONTROL_PLANE_URL`.
    pub control_url: String,
    /// `GATEWAY_API_KEY`.
    pub key: String,
    /// More settings.
    pub environment: Vec<(&'a str, String)>,
    /// A socket to be passed to it, in place of an address of its own.
    pub socket: Option<&'a TcpListener>,
}

/// A running gateway.
pub struct Gateway {
    process: Process,
    earlier: String,
    folder: Folder,
    environment: BTreeMap<String, String>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    /// Starts one and waits until it serves.
    pub fn start(options: &GatewayOptions<'_>) -> Self {
        let mut gateway = Self::launch(options);
        gateway.wait_ready();
        gateway
    }

    /// Starts one that serves this configuration, `config.yaml` in the folder beside it, without control plane.
    pub fn of_file(config: &Value, mut environment: Vec<(&'static str, String)>) -> (Self, Folder) {
        let folder = Folder::new("config");
        let file = folder.path().join("config.yaml");
        // JSON is YAML too.
        std::fs::write(&file, config.to_string()).expect("the folder can be written");
        environment.push(("CONFIG_FILE", file.display().to_string()));
        (Self::start(&GatewayOptions { environment, ..GatewayOptions::default() }), folder)
    }

    /// Starts one and waits for its operators' address only: it may have nothing to serve.
    pub fn launch(options: &GatewayOptions<'_>) -> Self {
        let folder = Folder::new("gateway");
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let passed = options.socket.map(|socket| socket.local_addr().expect("a bound socket has an address"));
        let address = passed.unwrap_or(own);
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let settings = [
            ("CONTROL_PLANE_URL", options.control_url.clone()),
            ("GATEWAY_API_KEY", options.key.clone()),
            ("JWT_SECRET", EDGE_SECRET.to_owned()),
            ("HOST", address.ip().to_string()),
            ("PORT", address.port().to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("DATA_DIR", folder.path().display().to_string()),
            ("WORKERS", "2".to_owned()),
            // Load comes from one address.
            ("RATE_LIMIT_UNAUTH_MAX", "1000000".to_owned()),
            ("RATE_LIMIT_AUTH_MAX", "1000000".to_owned()),
        ];
        let fds = ["LISTEN_FDS", "LISTEN_FDS_FIRST_FD"].into_iter().zip(["1", "0"]);
        let fds = fds.filter(|_| passed.is_some()).map(|(name, value)| (name, value.to_owned()));
        let settings = settings.into_iter().chain(fds).chain(options.environment.iter().cloned());
        let mut environment: BTreeMap<String, String> =
            settings.map(|(name, value)| (name.to_owned(), value)).collect();
        // An empty one takes a usual one away.
        environment.retain(|_, value| !value.is_empty());
        let stdin = match options.socket {
            // As standard input: the only place where a test can put it without a word to the system.
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().expect("a socket can be shared"))),
            None => Stdio::null(),
        };
        let process = Process::start_with("novagate-gateway", &[], &environment, stdin);
        let mut gateway = Self { process, earlier: String::new(), folder, environment, address, admin };
        gateway.wait_admin();
        gateway
    }

    /// Where it takes traffic.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Sends one request of a client.
    pub fn send(&self, wanted: &Request) -> Response {
        request(self.address, wanted).unwrap_or_else(|error| panic!("{wanted:?} is not answered: {error}"))
    }

    /// A GET of a client.
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::get(target))
    }

    /// `/health`, `/status` of the operators' address.
    pub fn admin(&self, path: &str) -> Value {
        let response = request(self.admin, &Request::get(path));
        response.unwrap_or_else(|error| panic!("{path} is not answered: {error}")).json()
    }

    /// `/ready` of the operators' address.
    pub fn ready(&self) -> Response {
        let response = request(self.admin, &Request::get("/ready"));
        response.unwrap_or_else(|error| panic!("/ready is not answered: {error}"))
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let response = request(self.admin, &Request::get("/metrics"));
        response.unwrap_or_else(|error| panic!("/metrics is not answered: {error}")).expect(200).text()
    }

    /// The value of the first series that begins with `name`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Whether the link to the control plane stands.
    pub fn is_connected(&self) -> bool {
        self.metric("control_plane_connected").is_some_and(|value| value > 0.5)
    }

    /// Waits until the link stands, or does not.
    pub fn wait_connected(&self, connected: bool) {
        let what = if connected { "the gateway is connected" } else { "the gateway is not connected" };
        wait_until(what, PATIENCE, || self.is_connected() == connected);
    }

    /// Waits until a GET gets this status.
    pub fn wait_status(&self, target: &str, status: u16) -> Response {
        crate::wait_for(&format!("{target} answers {status}"), PATIENCE, || {
            Some(self.get(target)).filter(|response| response.status == status)
        })
    }

    /// Everything it has written to its standard streams, earlier runs included.
    pub fn output(&self) -> String {
        format!("{}{}{}", self.earlier, self.process.stdout(), self.process.stderr())
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Memory of its own, KiB.
    pub fn own_memory_kib(&self) -> u64 {
        self.process.own_memory_kib()
    }

    /// What it holds of the system.
    pub fn holdings(&self) -> Holdings {
        self.process.holdings()
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Leaves it `spare` file descriptors beyond those that it has open now.
    pub fn limit_descriptors(&self, spare: usize) {
        self.process.limit_descriptors(spare);
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        self.process.ask_to_stop();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Exit {
        self.process.wait()
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> Exit {
        self.process.terminate()
    }

    /// Starts again on the same addresses and data, and waits until it serves.
    pub fn restart(&mut self) {
        self.process.kill9();
        self.earlier = self.output();
        self.process = Process::start("novagate-gateway", &[], &self.environment);
        self.wait_ready();
    }

    fn wait_admin(&mut self) {
        let admin = self.admin;
        self.process.wait_ready("the gateway's admin address answers", || {
            request(admin, &Request::get("/health")).is_ok_and(|response| response.status == 200)
        });
    }

    fn wait_ready(&mut self) {
        let admin = self.admin;
        self.process.wait_ready("the gateway is ready", || {
            request(admin, &Request::get("/ready")).is_ok_and(|response| response.status == 200)
        });
    }
}
