//! An upstream service that does what a test says, and remembers what it was asked.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

/// The newest requests that are remembered; a load test sends more.
const MEMORY: usize = 20_000;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// A server on loopback; it ends with its value.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    connections: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Received {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// A status with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Upstream {
    /// Answers 200 with its name and the target; `/status/NNN` gets that status.
    pub fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self::start(move |request| {
            let asked = request.target.split_once("/status/").and_then(|(_, word)| word.get(..3)?.parse().ok());
            let body = json!({ "upstream": name, "target": request.target });
            Answer::new(asked.unwrap_or(200), body.to_string()).header("content-type", "application/json")
        })
    }

    /// Answers what `script` says.
    pub fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Mutex::default(),
            connections: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest request to a target that holds `part`.
    pub fn last_to(&self, part: &str) -> Option<Received> {
        self.received().into_iter().rev().find(|request| request.target.contains(part))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        for stream in self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(twin) = stream.try_clone() {
            shared.connections.lock().unwrap_or_else(PoisonError::into_inner).push(twin);
        }
        let shared = Arc::clone(shared);
        // The gateway closes pooled connections whenever it likes: an error ends the thread and is nobody's fault.
        std::thread::spawn(move || drop(serve(stream, &shared)));
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let without_body = request.method == "HEAD";
        {
            let mut received = shared.received.lock().unwrap_or_else(PoisonError::into_inner);
            if received.len() >= MEMORY {
                received.remove(0);
            }
            received.push(request.clone());
        }
        let answer = (shared.script)(&request);
        let headless = without_body || answer.status == 204 || answer.status == 304;
        // Writing to a String cannot fail.
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
        for (name, value) in &answer.headers {
            _ = write!(head, "{name}: {value}\r\n");
        }
        if answer.status != 204 {
            _ = write!(head, "content-length: {}\r\n", answer.body.len());
        }
        head.push_str("\r\n");
        let mut out = head.into_bytes();
        if !headless {
            out.extend_from_slice(&answer.body);
        }
        reader.get_mut().write_all(&out)?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Received>> {
    let start = line(reader)?;
    let mut words = start.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Received { method: method.into(), target: target.into(), ..Received::default() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(line(reader)?.trim(), 16).map_err(io::Error::other)?;
            request.body.extend(exactly(reader, size)?);
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        request.body = exactly(reader, length)?;
    }
    Ok(Some(request))
}

fn line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn exactly(reader: &mut BufReader<TcpStream>, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
