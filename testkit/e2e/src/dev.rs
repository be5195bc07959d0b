//! `novagate dev` in a folder of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Exit, Folder, PATIENCE, Process, free_port, wait_for};

/// The all-in-one; its data stays when it is started again.
pub struct Dev {
    folder: Folder,
    ports: [u16; 4],
    running: Option<Process>,
}

impl Dev {
    /// Not started yet.
    pub fn new() -> Self {
        Self { folder: Folder::new("dev"), ports: [(); 4].map(|()| free_port()), running: None }
    }

    /// Where each part listens: control plane, gateway, gateway admin, upstream.
    pub const fn ports(&self) -> [u16; 4] {
        self.ports
    }

    /// Starts it and reads what it says of itself.
    pub fn start(&mut self) -> Value {
        let line =
            self.launch(&["dev", "--print", "json"], |said| said.split_once('\n').map(|(line, _)| line.to_owned()));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"))
    }

    /// Starts it as a person does, with these arguments beside its addresses and folder, and reads what it says.
    pub fn start_for_people(&mut self, arguments: &[&str]) -> String {
        const LAST: &str = "Ctrl-C stops.\n";
        self.launch(arguments, |said| said.find(LAST).map(|at| said[..at + LAST.len()].to_owned()))
    }

    /// Starts it where starting is to fail.
    pub fn start_in_vain(&self) -> Exit {
        self.start_in_vain_on(&self.data_dir())
    }

    /// The same with another data directory.
    pub fn start_in_vain_on(&self, data_dir: &Path) -> Exit {
        let arguments = self.arguments(&["dev", "--print", "json"], data_dir);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::run("novagate", &arguments, &BTreeMap::new())
    }

    fn launch(&mut self, arguments: &[&str], said: impl Fn(&str) -> Option<String>) -> String {
        let arguments = self.arguments(arguments, &self.data_dir());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start("novagate", &arguments, &BTreeMap::new());
        let said = wait_for("novagate dev says that it is ready", PATIENCE, || {
            assert!(process.is_running(), "novagate dev has ended:\n{}", process.stderr());
            said(&process.stdout())
        });
        self.running = Some(process);
        said
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Ctrl-C.
    pub fn interrupt(&mut self) -> Exit {
        self.running.take().expect("it has been started").interrupt()
    }

    /// The address in a URL of its self-description.
    pub fn address(said: &Value, field: &str) -> SocketAddr {
        let url = said.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("no {field} in {said}"));
        let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        host.parse().unwrap_or_else(|error| panic!("{field} is {url}: {error}"))
    }

    fn arguments(&self, first: &[&str], data_dir: &Path) -> Vec<String> {
        let flags = ["--control-addr", "--gateway-addr", "--gateway-admin-addr", "--upstream-addr"];
        let mut arguments: Vec<String> = first.iter().map(|&argument| argument.to_owned()).collect();
        arguments.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
        for (flag, port) in flags.into_iter().zip(self.ports) {
            arguments.extend([flag.to_owned(), format!("127.0.0.1:{port}")]);
        }
        arguments
    }
}

impl Default for Dev {
    fn default() -> Self {
        Self::new()
    }
}
