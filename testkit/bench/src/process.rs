//! A program that was started here: alive, its CPU time, its end.
//!
//! Always: it runs in a process group of its own, and the whole group is gone when the value is dropped. Not here: what it
//! is asked to do.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::wait;

/// The kernel counts CPU time for user space in hundredths of a second on every architecture we run on.
const TICK: Duration = Duration::from_millis(10);
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// CPU time of a program: what its own code took, and what the kernel took for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    /// What was spent since then.
    pub(crate) fn since(self, before: Self) -> Self {
        let user = self.user.saturating_sub(before.user);
        Self { user, system: self.system.saturating_sub(before.system) }
    }

    /// Both.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

/// A running program with its children.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    complaints: PathBuf,
}

impl Program {
    /// Starts it; standard error goes to a file in `dir`, standard output where the command says.
    pub(crate) fn start(name: &str, dir: &Path, command: &mut Command) -> Result<Self> {
        let complaints = dir.join(format!("{name}.stderr"));
        let stderr = File::create(&complaints)?;
        let child = command.stdin(Stdio::null()).stderr(stderr).process_group(0).spawn();
        let child = child.with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), child, complaints })
    }

    /// An error with what it wrote, if it ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let mut said = String::new();
            // It is only there to explain.
            let _ = File::open(&self.complaints).and_then(|mut file| file.read_to_string(&mut said));
            bail!("{} ended ({status}): {}", self.name, said.trim());
        }
        Ok(())
    }

    /// CPU time so far, of the program and its children.
    pub(crate) fn cpu_time(&self) -> Result<CpuTime> {
        let own = self.child.id();
        let mut spent = Stat::of(own).with_context(|| format!("{} is gone", self.name))?.spent;
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = Stat::of(pid).filter(|stat| stat.parent == own) {
                spent.user += stat.spent.user;
                spent.system += stat.spent.system;
            }
        }
        Ok(spent)
    }

    /// KiB of memory that it has at this moment, without its children.
    pub(crate) fn resident_kib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("the memory of {} is not known", self.name))
    }

    /// Asks it to end and waits until it has, so that it can finish what it does at its end.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<()> {
        self.signal_group("TERM");
        let name = self.name.clone();
        let status = wait::until("the end of a program", limit, wait::UNHURRIED, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    fn signal_group(&self, signal: &str) {
        let order = format!("kill -s {signal} -- -{}", self.child.id());
        // A group that is gone already is what is wanted.
        let _ = Command::new("sh").args(["-c", &order]).stderr(Stdio::null()).status();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal_group("TERM");
        let ended = wait::until("end", STOP_WITHIN, wait::UNHURRIED, || Ok(self.child.try_wait()?));
        if ended.is_err() {
            self.signal_group("KILL");
        }
        // Nothing can be done about a child that cannot be waited for.
        let _ = self.child.wait();
    }
}

struct Stat {
    parent: u32,
    spent: CpuTime,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in brackets and may hold anything; fields count from behind it.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let spent = CpuTime { user: TICK * number(11)?, system: TICK * number(12)? };
        Some(Self { parent: number(1)?, spent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets_and_spaces() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 1 1 1";
        let stat = Stat::parse(line).unwrap();
        let spent = CpuTime { user: Duration::from_millis(2_500), system: Duration::from_millis(500) };
        assert_eq!((stat.parent, stat.spent), (7, spent));
        assert_eq!(
            spent.since(CpuTime { user: Duration::from_secs(1), ..spent }).total(),
            Duration::from_millis(1_500)
        );
        assert!(Stat::parse("42 (cut S 7").is_none());
    }

    #[test]
    fn a_program_that_ended_says_why_and_a_running_one_is_stopped() {
        let dir = crate::workspace::WorkDir::new("process").unwrap();
        let mut brief = Program::start("brief", dir.path(), Command::new("sh").args(["-c", "echo reason >&2; exit 3"]));
        let error = wait::until("end", STOP_WITHIN, wait::UNHURRIED, || Ok(brief.as_mut().unwrap().still_runs().err()));
        assert!(error.unwrap().to_string().contains("reason"));
        let long = Program::start("long", dir.path(), Command::new("sleep").arg("60")).unwrap();
        let pid = long.child.id();
        assert!(long.cpu_time().is_ok());
        drop(long);
        assert!(Stat::of(pid).is_none());
    }
}
