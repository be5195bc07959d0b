//! Bodies of a gigabyte in both directions at the same time, through the real gateway, which takes no more memory for them.

use std::future::poll_fn;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use novagate_e2e::{Gateway, PATIENCE};
use serde_json::json;
use tokio::time::timeout;

const GIB: u64 = 1 << 30;
/// No multiple of anything that a buffer has room for.
const PATTERN: usize = 65_521;
/// Pieces in which bodies are sent.
const PIECE: usize = 128 * 1024;
/// No exchange takes longer, on a busy machine either.
const LONGEST: Duration = Duration::from_mins(1);
/// What the gateway may take beyond what it has taken for a small body.
const MOST_KIB: u64 = 4 * 1024;

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
}

impl Framing {
    /// What is behind the last byte.
    const fn end(self) -> &'static [u8] {
        match self {
            Self::Length => b"",
            Self::Chunked => b"0\r\n\r\n",
        }
    }
}

/// The bytes of every body.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Self {
        let byte = |at: usize| (at * 31 % 251).to_le_bytes()[0];
        // Once more than it repeats after: any piece lies in it as a whole.
        Self((0..PATTERN + PIECE).map(|at| byte(at % PATTERN)).collect())
    }

    fn at(&self, at: u64, most: u64) -> &[u8] {
        let begin = usize::try_from(at % PATTERN as u64).unwrap();
        let length = usize::try_from(most.min(PIECE as u64)).unwrap();
        &self.0[begin..begin + length]
    }

    /// Sends a part of a body.
    fn send(&self, to: &mut impl Write, framing: Framing, part: Range<u64>) -> io::Result<()> {
        let mut at = part.start;
        while at < part.end {
            let piece = self.at(at, part.end - at);
            if framing == Framing::Chunked {
                write!(to, "{:x}\r\n", piece.len())?;
            }
            to.write_all(piece)?;
            if framing == Framing::Chunked {
                to.write_all(b"\r\n")?;
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Reads a body to its end; its length.
    fn check(&self, from: &mut impl io::BufRead, length: Option<u64>) -> io::Result<u64> {
        if let Some(length) = length {
            self.check_piece(from, 0, length)?;
            return Ok(length);
        }
        let mut at = 0;
        loop {
            let size = u64::from_str_radix(line(from)?.trim(), 16).map_err(io::Error::other)?;
            self.check_piece(from, at, size)?;
            at += size;
            line(from)?;
            if size == 0 {
                return Ok(at);
            }
        }
    }

    fn check_piece(&self, from: &mut impl Read, mut at: u64, mut left: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let room = usize::try_from(left.min(PIECE as u64)).unwrap();
            let count = from.read(&mut buffer[..room])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.assert_is(&buffer[..count], at);
            (at, left) = (at + count as u64, left - count as u64);
        }
        Ok(())
    }

    fn assert_is(&self, bytes: &[u8], at: u64) {
        assert!(bytes == self.at(at, bytes.len() as u64), "other bytes than those sent, from {at} on");
    }
}

fn line(from: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}

/// A head without its first line: how long the body is, and nothing for chunks.
fn length(from: &mut impl io::BufRead) -> io::Result<Option<u64>> {
    let mut length = None;
    loop {
        let line = line(from)?.to_ascii_lowercase();
        if line == "\r\n" {
            return Ok(length);
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse().map_err(io::Error::other)?);
        }
    }
}

fn fields(framing: Framing, length: u64) -> String {
    match framing {
        Framing::Length => format!("Content-Length: {length}\r\n\r\n"),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
    }
}

/// An upstream that gets a body and answers with one as long, both at the same time: `/chunked/N` or `/length/N`.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(exchange(&stream)));
        }
    });
    address
}

fn exchange(stream: &TcpStream) -> io::Result<()> {
    let (pattern, mut reader, mut writer) = (Pattern::new(), BufReader::with_capacity(PIECE, stream), stream);
    loop {
        let start = line(&mut reader)?;
        let mut path = start.split(' ').nth(1).unwrap_or_default().split('/').skip(1);
        let framing = if path.next() == Some("chunked") { Framing::Chunked } else { Framing::Length };
        let wanted: u64 = path.next().unwrap_or_default().parse().map_err(io::Error::other)?;
        let of_body = length(&mut reader)?;
        writer.write_all(format!("HTTP/1.1 200 OK\r\n{}", fields(framing, wanted)).as_bytes())?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| pattern.send(&mut writer, framing, 0..wanted - 1));
            assert_eq!(pattern.check(&mut reader, of_body)?, wanted, "the upload");
            sending.join().expect("the sender does not panic")
        })?;
        // A response that ends before its request makes the rest of the request needless.
        pattern.send(&mut writer, framing, wanted - 1..wanted)?;
        writer.write_all(framing.end())?;
    }
}

/// Both directions of one exchange in HTTP/1.1.
fn pass(gateway: SocketAddr, framing: Framing, size: u64) {
    let stream = TcpStream::connect(gateway).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let (pattern, mut reader, mut writer) = (Pattern::new(), BufReader::with_capacity(PIECE, &stream), &stream);
    let path = if framing == Framing::Chunked { "chunked" } else { "length" };
    let head = format!("POST /{path}/{size} HTTP/1.1\r\nHost: a\r\n{}", fields(framing, size));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(head.as_bytes()).unwrap();
            pattern.send(&mut writer, framing, 0..size).unwrap();
            writer.write_all(framing.end()).unwrap();
        });
        let start = line(&mut reader).unwrap();
        assert!(start.starts_with("HTTP/1.1 200 "), "{start}");
        let of_body = length(&mut reader).unwrap();
        assert_eq!(of_body.is_some(), framing == Framing::Length);
        assert_eq!(pattern.check(&mut reader, of_body).unwrap(), size, "the download");
    });
}

/// An exchange in HTTP/2.
fn pass_http2(gateway: SocketAddr, size: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(gateway).await.unwrap();
        // Or the end of a window would wait for the confirmation of what is before it.
        stream.set_nodelay(true).unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
        let (send, connection) = builder.handshake(stream).await.unwrap();
        let request = http::Request::builder().method("POST").uri(format!("http://a.example/chunked/{size}"));
        let exchange = async {
            let mut send = send.ready().await.unwrap();
            let (response, body) = send.send_request(request.body(()).unwrap(), false).unwrap();
            let ((), ()) = tokio::join!(send_http2(body, size), check_http2(response, size));
        };
        tokio::select! {
            passed = timeout(LONGEST, exchange) => passed.expect("HTTP/2 does not stall"),
            end = connection => panic!("the connection has ended: {end:?}"),
        }
    });
}

async fn send_http2(mut body: h2::SendStream<Bytes>, size: u64) {
    let pattern = Pattern::new();
    // Cut from one piece of memory: the client shall not be what is measured.
    let bytes = Bytes::from(pattern.0);
    let mut at = 0;
    while at < size {
        body.reserve_capacity(PIECE.min(usize::try_from(size - at).unwrap()));
        let room = poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap() as u64;
        let begin = usize::try_from(at % PATTERN as u64).unwrap();
        let now = usize::try_from(room.min(size - at).min(PIECE as u64)).unwrap();
        at += now as u64;
        body.send_data(bytes.slice(begin..begin + now), at == size).unwrap();
    }
}

async fn check_http2(response: h2::client::ResponseFuture, size: u64) {
    let (pattern, mut at) = (Pattern::new(), 0);
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        pattern.assert_is(&piece, at);
        at += piece.len() as u64;
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(at, size, "the download");
}

/// Ends the looking, also when what runs has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The most memory that a gateway takes while something runs.
fn most_memory(gateway: &Gateway, run: impl FnOnce() + Send) -> u64 {
    let (most, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                most.fetch_max(gateway.own_memory_kib(), Ordering::SeqCst);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        let _over = Over(&over);
        run();
    });
    most.into_inner()
}

#[test]
fn a_gigabyte_in_both_directions_takes_no_memory() {
    let config = json!({
        "services": [{ "name": "large", "targets": [{ "url": format!("http://{}", upstream()) }] }],
        "routes": [{ "name": "all", "match": { "path": "/*" }, "service": "large" }],
    });
    let (gateway, _folder) = Gateway::of_file(&config, vec![("MAX_BODY_BYTES", (2 * GIB).to_string())]);
    let address = gateway.address();
    let pass_all = |size| {
        for framing in [Framing::Length, Framing::Chunked] {
            pass(address, framing, size);
        }
        pass_http2(address, size);
    };
    // Buffers, pools and the code itself are taken up by small bodies.
    let before = most_memory(&gateway, || pass_all(1 << 20));
    let most = most_memory(&gateway, || pass_all(GIB));
    assert!(most <= before + MOST_KIB, "{most} KiB, {before} KiB before");
}
