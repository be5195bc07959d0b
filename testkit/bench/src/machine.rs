//! The machine and the versions of what is compared, for the page of results.
//!
//! Not here: anything that identifies the machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Processor, number of CPUs, kernel.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
    format!("{}, {cpus} CPUs, Linux {kernel}", model.unwrap_or("unknown processor"))
}

/// Where an installed program is; servers are often outside a user's PATH.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The version in the first line that the program prints when asked.
pub(crate) fn version(program: &PathBuf, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return String::new() };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let starts_like_one = |word: &&str| word.contains('.') && word.starts_with(|letter: char| letter.is_ascii_digit());
    let words = said.lines().next().unwrap_or_default().split([' ', '/', '-']).find(starts_like_one).map(str::to_owned);
    words.unwrap_or_default()
}
