//! A control node in a folder of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::{Authority, Connection, Exit, Folder, Process, Request, Response, Servers, Stack, find_bytes, free_port};

/// The secret that signs platform tokens in every test.
pub const PLATFORM_SECRET: &str = "platform-secret-of-the-e2e-tests-0001";

/// What may differ from the usual.
#[derive(Default)]
pub struct ControlOptions<'a> {
    /// More settings.
    pub environment: Vec<(&'a str, String)>,
    /// Serves TLS with a certificate of this authority.
    pub authority: Option<&'a Authority>,
    /// Where its data is, together with other control nodes; else it has a place of its own, on the stack of the run.
    pub servers: Option<Arc<Servers>>,
}

/// A running control plane.
pub struct Control {
    process: Process,
    earlier: String,
    folder: Folder,
    environment: BTreeMap<String, String>,
    address: SocketAddr,
    ops: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    // After the process, which uses them.
    servers: Option<Arc<Servers>>,
}

impl Control {
    /// The usual one: REST over plain HTTP on loopback, open registration.
    pub fn start() -> Self {
        Self::with(&ControlOptions::default())
    }

    /// A node beside others on the same servers.
    pub fn on(servers: &Arc<Servers>) -> Self {
        Self::with(&ControlOptions { servers: Some(Arc::clone(servers)), ..ControlOptions::default() })
    }

    /// With options.
    pub fn with(options: &ControlOptions<'_>) -> Self {
        let folder = Folder::new("control");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let ops = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut environment = BTreeMap::from([
            ("PLATFORM_JWT_SECRET".to_owned(), PLATFORM_SECRET.to_owned()),
            ("LISTEN_ADDR".to_owned(), address.to_string()),
            ("OPS_ADDR".to_owned(), ops.to_string()),
            ("DATA_DIR".to_owned(), folder.path().display().to_string()),
        ]);
        if let Some(authority) = options.authority {
            let files = authority.issue();
            environment.insert("TLS_CERT_FILE".to_owned(), files.cert.display().to_string());
            environment.insert("TLS_KEY_FILE".to_owned(), files.key.display().to_string());
        }
        let servers = options.servers.clone().or_else(|| match Stack::of_environment() {
            Stack::Sqlite => None,
            Stack::Postgres => Some(Servers::start().expect("the stack of PostgreSQL needs servers")),
        });
        let settings = servers.as_ref().map(|servers| servers.settings()).unwrap_or_default();
        environment.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
        environment.extend(options.environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let process = Process::start("novagate-control", &["serve"], &environment);
        let tls = options.authority.map(Authority::client);
        let mut control = Self { process, earlier: String::new(), folder, environment, address, ops, tls, servers };
        control.wait_ready();
        control
    }

    /// Its public address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its operators' address.
    pub const fn ops(&self) -> SocketAddr {
        self.ops
    }

    /// Its data directory.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What a gateway is told.
    pub fn sync_url(&self) -> String {
        if self.tls.is_some() {
            format!("wss://localhost:{}", self.address.port())
        } else {
            format!("ws://{}", self.address)
        }
    }

    /// How it is dialled.
    pub fn dial(&self) -> Dial {
        Dial { address: self.address, tls: self.tls.clone() }
    }

    /// Sends one request.
    pub fn send(&self, request: &Request) -> Response {
        self.dial().send(request)
    }

    /// Everything it has written to its standard streams, earlier runs included.
    pub fn output(&self) -> String {
        format!("{}{}{}", self.earlier, self.process.stdout(), self.process.stderr())
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> Exit {
        self.process.terminate()
    }

    /// Starts again on the same addresses and data; ends the old process first if it still runs.
    pub fn restart(&mut self) {
        self.process.kill9();
        self.earlier = self.output();
        self.process = Process::start("novagate-control", &["serve"], &self.environment);
        self.wait_ready();
    }

    /// Starts again where starting is to fail.
    pub fn restart_in_vain(&mut self) -> Exit {
        self.process.kill9();
        self.earlier = self.output();
        self.process = Process::start("novagate-control", &["serve"], &self.environment);
        self.process.wait()
    }

    /// Runs an operator's command beside it, on the same data.
    pub fn operate(&self, arguments: &[&str]) -> Exit {
        Process::run("novagate-control", arguments, &self.environment)
    }

    /// What it keeps its data in.
    pub const fn stack(&self) -> Stack {
        if self.servers.is_some() { Stack::Postgres } else { Stack::Sqlite }
    }

    /// Everything that it keeps, by place: its files, and what is in its database.
    pub fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.folder.files().into_iter();
        let mut kept: Vec<_> = files.map(|path| (path.display().to_string(), Folder::read(&path))).collect();
        kept.extend(self.servers.iter().map(|servers| ("the database".to_owned(), servers.dump())));
        kept
    }

    /// The places that hold `needle`, in any case of ASCII letters.
    pub fn places_with(&self, needle: &str) -> Vec<String> {
        let holds = |(_, bytes): &(String, Vec<u8>)| find_bytes(bytes, needle.as_bytes()).is_some();
        self.kept().into_iter().filter(holds).map(|(place, _)| place).collect()
    }

    /// Names of its files and, in its database, of schemas, tables and roles.
    pub fn names(&self) -> Vec<String> {
        let files = self.folder.files().into_iter().map(|path| path.display().to_string());
        files.chain(self.servers.iter().flat_map(|servers| servers.names())).collect()
    }

    /// The file of the platform database or of a tenant that holds `part` in its name.
    pub fn file(&self, part: &str) -> std::path::PathBuf {
        let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
        let found = self.folder.files().into_iter().find(|path| named(path));
        found.unwrap_or_else(|| panic!("no file with {part} in its name: {:?}", self.folder.files()))
    }

    fn wait_ready(&mut self) {
        let dial = self.dial();
        self.process.wait_ready("the control plane is ready", || {
            dial.try_send(&Request::get("/readyz")).is_ok_and(|response| response.status == 200)
        });
    }
}

/// An address and how to speak to it.
#[derive(Clone)]
pub struct Dial {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Dial {
    /// To an address without TLS.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// A connection that is kept alive.
    pub fn open(&self) -> std::io::Result<Connection> {
        match &self.tls {
            None => Connection::open(self.address),
            Some(config) => Connection::open_tls(self.address, "localhost", config),
        }
    }

    /// One request over a connection of its own.
    pub fn try_send(&self, request: &Request) -> std::io::Result<Response> {
        self.open()?.send(&request.clone().header("connection", "close"))
    }

    /// One request that must be answered.
    pub fn send(&self, request: &Request) -> Response {
        self.try_send(request).unwrap_or_else(|error| panic!("{request:?} is not answered: {error}"))
    }
}
