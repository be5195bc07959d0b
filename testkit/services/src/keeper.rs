//! A server process, and a shell that watches over it.
//!
//! The shell is the server's parent and reads words from a pipe that only this process holds. When the pipe ends, because
//! the value went or because the process did, by whatever death, the shell ends the server and removes its folder.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::programs::Account;

/// A process group that loses its parent while a member stands still is sent SIGHUP, which must not end the shell.
/// Arguments: folder, the signal that ends the server at once, program, its arguments.
const WATCH: &str = r#"
folder=$1 end=$2
shift 2
cd "$folder" || exit 1
trap '' HUP
begin() { : >log; "$@" >>log 2>&1 & server=$!; }
begin "$@"
while read -r word; do
  case $word in
    START) begin "$@" ;;
    STOP | CONT) kill -"$word" "$server" ;;
    *) kill -"$word" "$server"; kill -CONT "$server"; wait "$server" ;;
  esac 2>>log
  echo done
done
{ kill -"$end" "$server"; kill -CONT "$server"; wait "$server"; } 2>/dev/null
cd / && rm -rf "$folder"
"#;

/// A file system in memory, on Linux.
const MEMORY: &str = "/dev/shm";
/// Several times what the servers of one run take.
const PLENTY: u64 = 4 << 30;

/// A running server in a folder of its own.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    watcher: Child,
    words: Mutex<Words>,
}

#[derive(Debug)]
struct Words {
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// How a server ends when nobody needs it any more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// PostgreSQL's immediate shutdown: it takes its shared memory with it, which SIGKILL would leave behind.
    Quit,
    Kill,
}

/// A new folder that only the account may enter. It stays until a keeper has it.
pub(crate) fn folder(stem: &str, account: Account) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = place().join(format!("novagate-{stem}-{}-{number}", std::process::id()));
    // An earlier process with the same id may have left one, when its watcher was killed too.
    drop(std::fs::remove_dir_all(&path));
    std::fs::DirBuilder::new().mode(0o700).create(&path).expect("the temporary folder can be written");
    account.own(&path);
    path
}

/// Memory where there is plenty: a disk that is busy with something else holds a server up for seconds. Else the usual
/// place for temporary files.
fn place() -> PathBuf {
    let room = Command::new("df").args(["--block-size=1", "--output=avail", MEMORY]).stderr(Stdio::null()).output();
    let room = room.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let room = room.and_then(|text| text.lines().last()?.trim().parse::<u64>().ok());
    if room.is_some_and(|bytes| bytes >= PLENTY) { PathBuf::from(MEMORY) } else { std::env::temp_dir() }
}

impl Keeper {
    /// Starts `program` in `folder`, which is the keeper's from here on.
    pub(crate) fn start(folder: PathBuf, account: Account, end: End, program: &Path, arguments: &[String]) -> Self {
        let end = match end {
            End::Quit => "QUIT",
            End::Kill => "KILL",
        };
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "watch"]).arg(&folder).arg(end).arg(program).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C is for the tests; the watcher learns of their end by itself.
        command.process_group(0);
        account.apply(&mut command);
        let mut watcher = command.spawn().unwrap_or_else(|error| panic!("sh does not start: {error}"));
        let from = BufReader::new(watcher.stdout.take().expect("it is piped"));
        let words = Mutex::new(Words { to: watcher.stdin.take(), from });
        Self { folder, watcher, words }
    }

    /// Sends a signal and waits for the server's end.
    pub(crate) fn end(&self, signal: &str) {
        self.say(signal);
    }

    /// Starts it again, as it was started first.
    pub(crate) fn start_again(&self) {
        self.say("START");
    }

    /// Lets it stand still: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.say("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.say("CONT");
    }

    /// The last lines that it wrote.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read(self.folder.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
    }

    fn say(&self, word: &str) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        let sent = words.to.as_mut().is_some_and(|to| writeln!(to, "{word}").is_ok());
        let heard = sent && words.from.read_line(&mut answer).is_ok_and(|length| length > 0);
        assert!(heard, "the watcher of a server has ended:\n{}", self.log());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.words.get_mut().unwrap_or_else(PoisonError::into_inner).to = None;
        drop(self.watcher.wait());
    }
}
