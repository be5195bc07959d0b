//! Containers of the images under test, as locked down as the images promise to work.
//!
//! Always: a read-only root, no capability, no new privileges; nothing is published, because the host reaches containers of a
//! bridge directly; containers, networks and volumes go with their values, also after a panic. Not here: building images
//! (`cargo xtask test` does it once for all tests).

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Folder, wait_for};

/// How long Docker may take for one command on a busy machine.
const DOCKER_PATIENCE: Duration = Duration::from_secs(90);
/// What `cargo xtask test` sets to the tag of the images it has built.
const TAG_VARIABLE: &str = "NOVAGATE_TEST_IMAGES";

/// The images of this run.
#[derive(Debug, Clone)]
pub struct Images {
    tag: String,
}

/// What a command of Docker said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code, which is that of the container's program where it runs one.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A private network without a way out.
#[derive(Debug)]
pub struct Network(String);

/// A named volume.
#[derive(Debug)]
pub struct Volume(String);

/// A container that was started.
#[derive(Debug)]
pub struct Container {
    name: String,
}

/// What a container is started with.
#[derive(Debug)]
pub struct ContainerOptions<'a> {
    /// The target of the Dockerfile.
    pub image: &'a str,
    /// Its name on the network.
    pub alias: &'a str,
    /// Settings.
    pub environment: Vec<(&'a str, String)>,
    /// Values of `--volume`.
    pub mounts: Vec<String>,
}

impl Images {
    /// The images of this run; none, loudly, where there is no Docker or the tests were not started by `cargo xtask test`.
    pub fn of_this_run() -> Option<Self> {
        let tag = std::env::var(TAG_VARIABLE).ok().filter(|tag| !tag.is_empty());
        if tag.is_none() {
            skipped();
        }
        tag.map(|tag| Self { tag })
    }

    /// The name of an image.
    pub fn name(&self, image: &str) -> String {
        format!("novagate-{image}:{}", self.tag)
    }

    /// What an image says of itself, by a Go template.
    pub fn inspect(&self, image: &str, template: &str) -> String {
        docker(["image", "inspect", "--format", template, &self.name(image)]).expect_ok().trim().to_owned()
    }

    /// Runs a program to its end, without a network.
    pub fn run(&self, image: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Said {
        let settings: Vec<String> = environment.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
        let settings = settings.iter().map(String::as_str);
        let name = self.name(image);
        let locked = ["run", "--rm", "--network=none"].into_iter().chain(LOCKED);
        docker(locked.chain(settings).chain([name.as_str()]).chain(arguments.iter().copied()))
    }

    /// Starts a container on a network.
    pub fn start(&self, network: &Network, options: &ContainerOptions<'_>) -> Container {
        let container = Container { name: unique(options.alias) };
        let mut words: Vec<String> = ["run", "--detach"].into_iter().chain(LOCKED).map(str::to_owned).collect();
        words.push(format!("--name={}", container.name));
        words.push(format!("--network={}", network.0));
        words.push(format!("--network-alias={}", options.alias));
        words.push(format!("--hostname={}", options.alias));
        words.push("--health-interval=1s".to_owned());
        words.extend(options.environment.iter().map(|(name, value)| format!("--env={name}={value}")));
        words.extend(options.mounts.iter().map(|mount| format!("--volume={mount}")));
        words.push(self.name(options.image));
        docker(words.iter().map(String::as_str)).expect_ok();
        container
    }
}

/// What every container is started with.
const LOCKED: [&str; 3] = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];

impl Network {
    /// A new one.
    pub fn new() -> Self {
        let network = Self(unique("net"));
        docker(["network", "create", "--internal", &network.0]).expect_ok();
        network
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Volume {
    /// A new one; `stem` is part of its name.
    pub fn new(stem: &str) -> Self {
        let volume = Self(unique(stem));
        docker(["volume", "create", &volume.0]).expect_ok();
        volume
    }

    /// A value of `--volume` that mounts it; `rest` is the place and perhaps `:ro`.
    pub fn at(&self, rest: &str) -> String {
        format!("{}:{rest}", self.0)
    }
}

impl Container {
    /// Its address on its network.
    pub fn address(&self, port: u16) -> SocketAddr {
        let ip = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
        let ip: IpAddr = ip.parse().unwrap_or_else(|_| panic!("{} has no address: {}", self.name, self.logs()));
        SocketAddr::new(ip, port)
    }

    /// What Docker knows of it, by a Go template.
    pub fn inspect(&self, template: &str) -> String {
        docker(["inspect", "--format", template, &self.name]).expect_ok().trim().to_owned()
    }

    /// Runs its program once more, inside.
    pub fn exec(&self, words: &[&str]) -> Said {
        docker(["exec", &self.name].into_iter().chain(words.iter().copied()))
    }

    /// What its program wrote.
    pub fn logs(&self) -> String {
        let said = docker(["logs", &self.name]);
        format!("{}{}", said.stdout, said.stderr)
    }

    /// Waits until its own health check says that it is well.
    pub fn wait_healthy(&self) {
        wait_for(&format!("{} is healthy: {}", self.name, self.logs()), DOCKER_PATIENCE, || {
            assert_eq!(self.inspect("{{.State.Running}}"), "true", "it has ended: {}", self.logs());
            (self.inspect("{{.State.Health.Status}}") == "healthy").then_some(())
        });
    }

    /// SIGTERM, and waits for its end; its exit code.
    pub fn stop(&self) -> String {
        docker(["stop", "--time=60", &self.name]).expect_ok();
        self.inspect("{{.State.ExitCode}}")
    }

    /// Starts it again after it was stopped.
    pub fn start_again(&self) {
        docker(["start", &self.name]).expect_ok();
    }

    /// `/proc/<pid>/status` of its program, as the host sees it.
    pub fn process_status(&self) -> String {
        let path = format!("/proc/{}/status", self.inspect("{{.State.Pid}}"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Said {
    /// Its output, when it succeeded.
    pub fn expect_ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show(&format!("--- {}:\n{}", self.name, self.logs()));
        }
        docker(["rm", "--force", "--volumes", &self.name]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        docker(["network", "rm", &self.0]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        docker(["volume", "rm", "--force", &self.0]);
    }
}

fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("novagate-e2e-{}-{}-{stem}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a command of Docker to its end.
fn docker<'a>(words: impl IntoIterator<Item = &'a str>) -> Said {
    let output = Folder::new("docker");
    let file = |name: &str| std::fs::File::create(output.path().join(name)).expect("the output folder can be written");
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("docker does not start: {error}"));
    let status = wait_for(&format!("{command:?} ends"), DOCKER_PATIENCE, || {
        child.try_wait().expect("a child can be waited for")
    });
    let read = |name: &str| std::fs::read_to_string(output.path().join(name)).unwrap_or_default();
    Said { code: status.code(), stdout: read("stdout"), stderr: read("stderr") }
}

fn skipped() {
    show("skipped: no images to test; `cargo xtask test` builds them where Docker is");
}

#[expect(clippy::print_stderr, reason = "a test says what it leaves out, and what a container last said")]
fn show(text: &str) {
    eprintln!("{text}");
}
