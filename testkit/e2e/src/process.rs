//! One running binary.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Folder, PATIENCE, wait_for};

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// A process; it is killed when the value goes.
#[derive(Debug)]
pub struct Process {
    program: String,
    child: Child,
    output: Folder,
}

/// What a process holds of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Memory of its own, KiB.
    pub own_memory_kib: u64,
}

/// Where a binary of the workspace is: beside the test executables, or in `NOVAGATE_BIN_DIR`.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("NOVAGATE_BIN_DIR").map_or_else(beside_tests, PathBuf::from);
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask test`, which builds it", path.display());
    path
}

/// `target/<profile>`, two levels above `target/<profile>/deps/<test>`.
fn beside_tests() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    test.parent().and_then(Path::parent).expect("tests run from target/<profile>/deps").to_owned()
}

impl Process {
    /// Starts a binary with exactly these arguments and this environment.
    pub fn start(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Self {
        Self::start_with(name, arguments, environment, Stdio::null())
    }

    /// The same with something as its standard input.
    pub fn start_with(
        name: &str,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
        stdin: impl Into<Stdio>,
    ) -> Self {
        Self::of_program(&binary(name), arguments, environment, stdin)
    }

    /// The same with any program of this machine.
    pub(crate) fn of_program(
        program: &Path,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
        stdin: impl Into<Stdio>,
    ) -> Self {
        let name = program.file_name().expect("a program has a name").to_string_lossy();
        let output = Folder::new(&name);
        let file = |name: &str| File::create(output.path().join(name)).expect("the output folder can be written");
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(output.path())
            .stdin(stdin)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { program: name.into_owned(), child, output }
    }

    /// Runs a binary to its end.
    pub fn run(name: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> Exit {
        Self::start(name, arguments, environment).wait()
    }

    /// All of standard output so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// All of standard error so far.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `ready`; panics with what the process wrote when it ends before, or takes too long.
    pub fn wait_ready(&mut self, what: &str, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        wait_for(what, PATIENCE + Duration::from_secs(1), || {
            if ready() {
                return Some(());
            }
            assert!(self.is_running(), "{} has ended before {what}:\n{}", self.program, self.stderr());
            assert!(Instant::now() < deadline, "waited in vain until {what}; {}:\n{}", self.program, self.stderr());
            None
        });
    }

    /// Leaves it `spare` file descriptors beyond those that it has open now.
    pub fn limit_descriptors(&self, spare: usize) {
        let pid = self.child.id();
        let limit = format!("--nofile={}", self.count("fd") + spare);
        let status = Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status();
        assert!(status.expect("prlimit can be started").success(), "prlimit {limit}");
    }

    /// What it holds of the system.
    pub fn holdings(&self) -> Holdings {
        let (descriptors, threads) = (self.count("fd"), self.count("task"));
        Holdings { descriptors, threads, own_memory_kib: self.own_memory_kib() }
    }

    fn count(&self, folder: &str) -> usize {
        let entries = std::fs::read_dir(format!("/proc/{}/{folder}", self.child.id()));
        entries.unwrap_or_else(|error| panic!("its {folder} cannot be listed: {error}")).count()
    }

    /// Memory of its own, KiB, beside its program's and libraries' pages.
    pub fn own_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// SIGKILL: the process gets no chance to do anything.
    pub fn kill9(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> Exit {
        self.ask_to_stop();
        self.wait()
    }

    /// SIGINT, as Ctrl-C sends it, and waits for the end.
    pub fn interrupt(&mut self) -> Exit {
        self.signal("INT");
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> Exit {
        let program = self.program.clone();
        let status = wait_for(&format!("{program} ends"), PATIENCE, || {
            self.child.try_wait().expect("a child can be waited for")
        });
        Exit { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    fn signal(&self, name: &str) {
        // The shell's own `kill`: a small machine may lack the program of that name.
        let command = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &command]).status().is_ok_and(|status| status.success());
        assert!(sent, "{} takes no {name}", self.program);
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.output.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let lines: Vec<String> = self.stderr().lines().map(ToOwned::to_owned).collect();
            let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
            show(&format!("--- last lines of {}:\n{tail}", self.program));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what the binary last said")]
fn show(text: &str) {
    eprintln!("{text}");
}
