//! Asking a program whether it is ready, for container health checks: images have neither shell nor curl.
//!
//! Blocking on purpose: whoever asks is a process of its own that does nothing else.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for each step.
const DEADLINE: Duration = Duration::from_secs(3);
/// Of an answer, only its first line counts.
const ANSWER_MAX: u64 = 4096;

/// Why a program is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It does not answer.
    #[error("{addr} does not answer: {source}")]
    Silent {
        /// Where it was asked.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It answers with something else than 200.
    #[error("{addr} answers {status}")]
    Answered {
        /// Where it was asked.
        addr: SocketAddr,
        /// The status line.
        status: String,
    },
}

/// Asks `/ready` at `addr`; an address that stands for all of a machine is asked on loopback.
pub fn check_ready(addr: SocketAddr) -> Result<(), NotReady> {
    let addr = if addr.ip().is_unspecified() { here(addr) } else { addr };
    let status = status_of_ready(addr).map_err(|source| NotReady::Silent { addr, source })?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(NotReady::Answered { addr, status }) }
}

const fn here(addr: SocketAddr) -> SocketAddr {
    let ip = if addr.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    SocketAddr::new(ip, addr.port())
}

fn status_of_ready(addr: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    write!(stream, "GET /ready HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers once, and what it was asked.
    fn answering(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: a connection that is closed with unread bytes is reset, and the answer may go with it.
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let line = lines.next().unwrap();
            lines.find(String::is_empty).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            line
        });
        (addr, thread)
    }

    #[test]
    fn only_200_is_ready() {
        let (addr, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert!(check_ready(addr).is_ok());
        assert_eq!(asked.join().unwrap(), "GET /ready HTTP/1.1");
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 2000 \r\n\r\n", "junk", ""] {
            let (addr, _asked) = answering(answer);
            let fault = check_ready(addr).unwrap_err();
            assert!(matches!(fault, NotReady::Answered { .. }) || answer.is_empty(), "{fault}");
        }
    }

    #[test]
    fn all_addresses_means_this_machine() {
        let (addr, _asked) = answering("HTTP/1.1 200 OK\r\n\r\n");
        assert!(check_ready(SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port()))).is_ok());
    }

    #[test]
    fn nobody_there_is_not_ready() {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fault = check_ready(addr).unwrap_err().to_string();
        assert!(fault.starts_with(&addr.to_string()), "{fault}");
    }
}
