//! A Redis server.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::keeper::{End, Keeper, folder};
use crate::offline::{are_offline, skip};
use crate::programs::{self, Account};
use crate::{free_port, secret, wait_for};

/// Names a server to use instead of one's own: `redis://[user:password@]host:port`. Its databases from 1 on are emptied.
pub const REDIS_URL: &str = "TEST_REDIS_URL";

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Another process may take a port between its choice and its use.
const ATTEMPTS: usize = 3;
const DATABASES: u32 = 1024;

/// A server without any file. It starts in a few milliseconds, so that a test may well have one of its own: channels of
/// publish and subscribe are shared by all databases of a server.
#[derive(Debug)]
pub struct Redis {
    keeper: Option<Keeper>,
    address: String,
    credentials: String,
}

/// A database of one test's own.
#[derive(Debug)]
pub struct RedisDatabase {
    url: String,
    number: u32,
}

impl Redis {
    /// The server that all tests of this process share: the one that [`REDIS_URL`] names, else one of the process's own.
    /// `None` where tests with servers are left out; the present test has been counted as such.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        if are_offline() {
            skip("Redis");
            return None;
        }
        Some(SHARED.get_or_init(|| std::env::var(REDIS_URL).map_or_else(|_| Self::start(), |url| Self::named(&url))))
    }

    /// A server of the caller's own, to be stopped, frozen and started at will. `None` where tests with servers are left out.
    pub fn own() -> Option<Self> {
        Self::own_with(&[])
    }

    /// A server of the caller's own with more settings, e.g. `["--maxmemory", "2mb"]`.
    pub fn own_with(settings: &[&str]) -> Option<Self> {
        if are_offline() {
            skip("Redis");
            return None;
        }
        Some(Self::start_with(settings))
    }

    /// Starts a server, whether or not tests with servers are wanted.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &[&str]) -> Self {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match Self::try_start(settings) {
                Ok(server) => return server,
                Err(log) => last = log,
            }
        }
        panic!("Redis does not start:\n{last}")
    }

    fn try_start(settings: &[&str]) -> Result<Self, String> {
        let (program, account) = (programs::redis_server(), Account::unprivileged());
        let (port, password) = (free_port().to_string(), secret::password());
        let databases = DATABASES.to_string();
        let own = ["--bind", "127.0.0.1", "--port", &port, "--requirepass", &password, "--databases", &databases];
        let no_files = ["--save", "", "--appendonly", "no"];
        let arguments: Vec<String> =
            own.iter().chain(&no_files).chain(settings).map(|&argument| argument.to_owned()).collect();
        let keeper = Keeper::start(folder("redis", account), account, End::Kill, &program, &arguments);
        let server =
            Self { keeper: Some(keeper), address: format!("127.0.0.1:{port}"), credentials: format!(":{password}@") };
        if server.becomes_ready() { Ok(server) } else { Err(server.log()) }
    }

    fn named(url: &str) -> Self {
        let rest = url.strip_prefix("redis://").unwrap_or_else(|| panic!("{REDIS_URL} begins with redis://"));
        let rest = rest.split('/').next().unwrap_or(rest);
        let (credentials, address) =
            rest.rsplit_once('@').map_or((String::new(), rest), |(before, after)| (format!("{before}@"), after));
        Self { keeper: None, address: address.to_owned(), credentials }
    }

    /// The address of the server, without a database.
    pub fn url(&self) -> String {
        format!("redis://{}{}", self.credentials, self.address)
    }

    /// The address of the server through another port of this machine, where a proxy listens.
    pub fn url_through(&self, port: u16) -> String {
        format!("redis://{}127.0.0.1:{port}", self.credentials)
    }

    /// The server's own port.
    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(6379)
    }

    /// An empty database that no other test of this run has. Its number is counted in database 0.
    pub fn database(&self) -> RedisDatabase {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let count = if self.keeper.is_some() {
            NEXT.fetch_add(1, Ordering::Relaxed)
        } else {
            self.number_of("INCR novagate:test:databases")
        };
        let number = 1 + count % (self.databases() - 1);
        self.command(number, "FLUSHDB");
        RedisDatabase { url: format!("{}/{number}", self.url()), number }
    }

    /// One command in a database of the server, in words without spaces. Answers the text or number; items of a list stand
    /// on a line each.
    pub fn command(&self, database: u32, command: &str) -> String {
        self.ask(database, command).unwrap_or_else(|error| panic!("Redis does not answer {command}: {error}"))
    }

    /// Ends the server and waits for its end; nothing of its data stays. Only for a server of one's own.
    pub fn stop(&self) {
        self.keeper().end("KILL");
    }

    /// Starts it again, empty, on the same port, and waits until it answers.
    pub fn restart(&self) {
        self.keeper().start_again();
        assert!(self.becomes_ready(), "Redis does not start again:\n{}", self.log());
    }

    /// Lets it stand still (SIGSTOP): it takes connections and answers nothing.
    pub fn freeze(&self) {
        self.keeper().freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.keeper().thaw();
    }

    fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().unwrap_or_else(|| panic!("a server that {REDIS_URL} names is not ours to stop"))
    }

    fn log(&self) -> String {
        self.keeper.as_ref().map(Keeper::log).unwrap_or_default()
    }

    fn becomes_ready(&self) -> bool {
        let deadline = Instant::now() + START;
        wait_for("Redis has started or not", START + Duration::from_secs(5), || {
            let answers = self.ask(0, "PING").is_ok_and(|answer| answer == "PONG");
            let ended = self.log().contains("Failed listening") || self.log().contains("Fatal");
            (answers || ended || Instant::now() > deadline).then_some(answers)
        })
    }

    fn databases(&self) -> u32 {
        if self.keeper.is_some() { DATABASES } else { self.number_of("CONFIG GET databases") }
    }

    /// The number that an answer in database 0 ends with.
    fn number_of(&self, command: &str) -> u32 {
        let answer = self.command(0, command);
        let number = answer.lines().last().and_then(|line| line.parse().ok());
        number.unwrap_or_else(|| panic!("Redis answers {command} with {answer}"))
    }

    fn ask(&self, database: u32, command: &str) -> io::Result<String> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut answers = BufReader::new(stream);
        let (user, password) = self.credentials.trim_end_matches('@').split_once(':').unwrap_or_default();
        if !password.is_empty() {
            let user = if user.is_empty() { "default" } else { user };
            exchange(&mut answers, &format!("AUTH {user} {password}"))?;
        }
        exchange(&mut answers, &format!("SELECT {database}"))?;
        exchange(&mut answers, command)
    }
}

fn exchange(stream: &mut BufReader<TcpStream>, command: &str) -> io::Result<String> {
    stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
    answer(stream)
}

/// One answer in the Redis protocol.
fn answer(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let (Some(kind), Some(rest)) = (line.get(..1), line.get(1..)) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "*" => {
            let count: usize = rest.parse().unwrap_or(0);
            let items: io::Result<Vec<String>> = (0..count).map(|_| answer(from)).collect();
            Ok(items?.join("\n"))
        }
        "$" => {
            let Ok(length) = rest.parse::<usize>() else { return Ok(String::new()) };
            let mut text = vec![0; length + 2];
            from.read_exact(&mut text)?;
            text.truncate(length);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Err(io::Error::other(line.to_owned())),
    }
}

impl RedisDatabase {
    /// The address of it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its number, for [`Redis::command`].
    pub const fn number(&self) -> u32 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_kind_are_read() {
        let read = |text: &str| answer(&mut text.as_bytes());
        assert_eq!(read("+OK\r\n").unwrap(), "OK");
        assert_eq!(read("*2\r\n$9\r\ndatabases\r\n$4\r\n1024\r\n").unwrap(), "databases\n1024");
        assert_eq!(read("$-1\r\n").unwrap(), "");
        assert!(read("-NOAUTH\r\n").is_err() && read("").is_err());
    }
}
