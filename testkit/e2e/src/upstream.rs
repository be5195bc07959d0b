//! An upstream service that does what a test says, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// How its length is told.
    pub framing: AnswerFraming,
}

/// How the length of a response is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerFraming {
    /// `Content-Length`.
    #[default]
    Length,
    /// The chunked coding.
    Chunked,
    /// The end of the connection.
    Close,
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// A server on loopback; it ends with its value.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    received: Mutex<VecDeque<Received>>,
    connections: Mutex<BTreeMap<SocketAddr, TcpStream>>,
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
        Self { status, headers: Vec::new(), body: body.into(), framing: AnswerFraming::Length }
    }

    /// With another framing.
    pub const fn framed(mut self, framing: AnswerFraming) -> Self {
        self.framing = framing;
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Answer {
    fn bytes(&self, without_body: bool) -> Vec<u8> {
        // Writing to a String cannot fail.
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            _ = write!(head, "{name}: {value}\r\n");
        }
        let is_bare = matches!(self.status, 204 | 304);
        match self.framing {
            AnswerFraming::Length if self.status != 204 => _ = write!(head, "content-length: {}\r\n", self.body.len()),
            AnswerFraming::Chunked if !is_bare => head.push_str("transfer-encoding: chunked\r\n"),
            AnswerFraming::Length | AnswerFraming::Chunked | AnswerFraming::Close => {}
        }
        head.push_str("\r\n");
        let mut out = head.into_bytes();
        if without_body || is_bare {
            return out;
        }
        if self.framing != AnswerFraming::Chunked {
            out.extend_from_slice(&self.body);
            return out;
        }
        for piece in self.body.chunks(1000) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        out
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

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The newest request to a target that holds `part`.
    pub fn last_to(&self, part: &str) -> Option<Received> {
        self.received().into_iter().rev().find(|request| request.target.contains(part))
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        for stream in std::mem::take(&mut *self.shared.connections()).into_values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(twin), Ok(client)) = (stream.try_clone(), stream.peer_addr()) else { continue };
        shared.connections().insert(client, twin);
        let shared = Arc::clone(shared);
        // The gateway closes pooled connections whenever it likes: an error ends the thread and is nobody's fault.
        std::thread::spawn(move || {
            drop(serve(stream, &shared));
            if let Some(twin) = shared.connections().remove(&client) {
                drop(twin.shutdown(Shutdown::Both));
            }
        });
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
                received.pop_front();
            }
            received.push_back(request.clone());
        }
        let answer = (shared.script)(&request);
        reader.get_mut().write_all(&answer.bytes(without_body))?;
        if answer.framing == AnswerFraming::Close {
            break;
        }
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
