//! A small blocking HTTP/1.1 client, so that what is measured is not the client.
//!
//! Always: every read and write has a deadline. Not here: TLS, redirects, anything a measured program does not send.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, for messages.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) bearer: Option<&'a str>,
    /// The one content coding that is taken.
    pub(crate) accepts: Option<&'a str>,
    /// Sent as JSON.
    pub(crate) body: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) const fn get(path: &'a str, bearer: Option<&'a str>) -> Self {
        Self { method: "GET", path, bearer, accepts: None, body: "" }
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// Sends one request and reads its answer.
    pub(crate) fn send(&mut self, request: Request<'_>) -> io::Result<Answer> {
        self.begin(request)?;
        self.read_answer()
    }

    /// Sends one request, and waits until something has come back.
    pub(crate) fn touch(&mut self, request: Request<'_>) -> io::Result<()> {
        self.begin(request)?;
        self.stream.fill_buf().map(drop)
    }

    /// Sends one request.
    pub(crate) fn begin(&mut self, request: Request<'_>) -> io::Result<()> {
        let Request { method, path, bearer, accepts, body } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(token) = bearer {
            // Writing to a String cannot fail.
            let _ = write!(text, "Authorization: Bearer {token}\r\n");
        }
        if let Some(coding) = accepts {
            let _ = write!(text, "Accept-Encoding: {coding}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream.get_mut().write_all(text.as_bytes())
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let status = self.line()?.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| malformed("no status"))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header without colon"))?;
            answer.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        answer.body = self.read_body(&answer)?;
        Ok(answer)
    }

    fn read_body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if answer.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let length = usize::from_str_radix(self.line()?.trim(), 16).map_err(|_| malformed("no chunk size"))?;
                body.extend(self.exactly(length)?);
                self.line()?;
                if length == 0 {
                    return Ok(body);
                }
            }
        }
        match answer.header("content-length") {
            Some(length) => self.exactly(length.parse().map_err(|_| malformed("no content length"))?),
            None => Ok(Vec::new()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Sends one request on a connection of its own.
pub(crate) fn ask(address: SocketAddr, request: Request<'_>) -> io::Result<Answer> {
    Connection::open(address)?.send(request)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_with_length_and_with_chunks_are_read_from_one_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(peer.try_clone().unwrap());
            let answers = [
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
                "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            ];
            for answer in answers {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                peer.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut connection = Connection::open(address).unwrap();
        let first = connection.send(Request::get("/", Some("t"))).unwrap();
        assert_eq!((first.status, first.text().as_str()), (200, "ab"));
        let second = connection.send(Request::get("/", None)).unwrap();
        assert_eq!((second.status, second.text().as_str()), (404, "abcd"));
        assert!(connection.send(Request::get("/", None)).is_err());
        server.join().unwrap();
    }
}
