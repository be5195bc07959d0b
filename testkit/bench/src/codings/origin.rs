//! An upstream in this process that sends texts.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

/// All of the text.
pub(super) const WHOLE: &str = "/whole";
/// Its first bytes.
pub(super) const SHORT: &str = "/short";
/// All of the text, and no end.
pub(super) const HELD: &str = "/held";

pub(super) const SHORT_LENGTH: usize = 4096;

/// It lives as long as the process.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
}

impl Origin {
    pub(super) fn start(text: Vec<u8>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, text) = (listener.local_addr()?, Arc::new(text));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let text = Arc::clone(&text);
                // A connection that breaks is missed by whoever counts on it.
                thread::spawn(move || serve(stream, &text));
            }
        });
        Ok(Self { address })
    }
}

/// Answers requests without body until the connection ends.
fn serve(stream: TcpStream, text: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut line) = (String::new(), String::new());
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
        }
        let is_held = first.contains(HELD);
        let content = if first.contains(SHORT) { text.get(..SHORT_LENGTH).unwrap_or(text) } else { text };
        let framing = if is_held { "X-Length: none".to_owned() } else { format!("Content-Length: {}", content.len()) };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n");
        reader.get_mut().write_all(&[head.as_bytes(), content].concat())?;
        if is_held {
            // Until the other side has enough.
            return reader.read(&mut [0]).map(drop);
        }
    }
}
