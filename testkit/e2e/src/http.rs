//! A small HTTP/1.1 client that sends exactly what it is told.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use serde_json::Value;

/// No answer of a program under test takes this long.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A response, read whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection that is kept alive.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
}

impl Request {
    /// Without headers and body; `target` goes on the wire as it is.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With one more header. A `host` given here takes the place of the connection's.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With a body of this media type.
    pub fn body(self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.header("content-type", media_type) }
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    fn write(&self, host: &str) -> Vec<u8> {
        // Writing to a String cannot fail.
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            _ = write!(out, "host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            _ = write!(out, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            _ = write!(out, "content-length: {}\r\n", self.body.len());
        }
        out.push_str("\r\n");
        let mut bytes = out.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Response {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} with no JSON ({error}): {}", self.status, self.text()))
    }

    /// A field of the JSON content, by RFC 6901 pointer.
    pub fn at(&self, pointer: &str) -> Value {
        let value = self.json();
        let found = value.pointer(pointer).cloned();
        found.unwrap_or_else(|| panic!("there is no {pointer} in {value}"))
    }

    /// A text of the JSON content, by RFC 6901 pointer.
    pub fn str_at(&self, pointer: &str) -> String {
        let value = self.at(pointer);
        value.as_str().unwrap_or_else(|| panic!("{pointer} is no text: {value}")).to_owned()
    }

    /// Itself, when the status is this one; otherwise the test fails with the content.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The code of a refusal, by the gateway (`error`) or by the control plane (`code`).
    pub fn code(&self) -> String {
        let value = self.json();
        let code = value.get("error").or_else(|| value.get("code")).and_then(Value::as_str);
        code.unwrap_or_else(|| panic!("no refusal: {value}")).to_owned()
    }
}

impl Connection {
    /// Over TCP.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = tcp(address)?;
        Ok(Self { stream: BufReader::new(Box::new(stream)), host: address.to_string() })
    }

    /// Over TLS, to a server that must show a certificate for `name`.
    pub fn open_tls(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(config), server).map_err(io::Error::other)?;
        let stream = StreamOwned::new(session, tcp(address)?);
        Ok(Self { stream: BufReader::new(Box::new(stream)), host: format!("{name}:{}", address.port()) })
    }

    /// Sends a request and reads its response.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let bytes = request.write(&self.host);
        self.send_raw(&bytes, request.method == "HEAD")
    }

    /// Sends bytes as they are and reads one response; `headless` when it has no content whatever it says.
    pub fn send_raw(&mut self, bytes: &[u8], headless: bool) -> io::Result<Response> {
        self.write(bytes)?;
        self.read(headless)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// Reads what comes up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Reads one response; `headless` when it has no content whatever it says.
    pub fn read(&mut self, headless: bool) -> io::Result<Response> {
        loop {
            let response = self.read_response(headless)?;
            if response.status >= 200 || response.status == 101 {
                return Ok(response);
            }
        }
    }

    fn read_response(&mut self, headless: bool) -> io::Result<Response> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other(format!("no status line: {line}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("no header: {line}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if !headless && status >= 200 && status != 204 && status != 304 {
            response.body = self.read_body(&response)?;
        }
        Ok(response)
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if response.header("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(self.line()?.split(';').next().unwrap_or_default().trim(), 16);
                let size = size.map_err(io::Error::other)?;
                body.extend(self.exactly(size)?);
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match response.header("content-length").map(str::parse) {
            Some(length) => body = self.exactly(length.map_err(io::Error::other)?)?,
            None => _ = self.stream.read_to_end(&mut body)?,
        }
        Ok(body)
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }
}

/// Sends one request over a connection of its own.
pub fn request(address: SocketAddr, request: &Request) -> io::Result<Response> {
    Connection::open(address)?.send(&request.clone().header("connection", "close"))
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
