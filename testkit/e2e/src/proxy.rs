//! A TCP proxy on the sync link that keeps every byte, and can cut the link.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::find_bytes;

/// What went over one connection.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// From the node, as it was on the wire.
    pub from_node: Vec<u8>,
    /// From the control plane, as it was on the wire.
    pub from_hub: Vec<u8>,
}

/// Stands between a gateway and its control plane.
pub struct RecordingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    recordings: Mutex<Vec<Arc<Mutex<Recording>>>>,
    connections: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Recording {
    /// What the node said: its upgrade request, and the content of its frames with the masks taken off (RFC 6455, section
    /// 5.3), one after the other.
    pub fn node_text(&self) -> Vec<u8> {
        let Some(end) = find_bytes(&self.from_node, b"\r\n\r\n") else { return self.from_node.clone() };
        let (head, frames) = self.from_node.split_at(end + 4);
        let mut text = head.to_vec();
        let mut rest = frames;
        while let Some((payload, after)) = masked_frame(rest) {
            text.extend(payload);
            text.push(b'\n');
            rest = after;
        }
        text
    }
}

/// The content of the first frame and what follows it; none when it is not whole.
fn masked_frame(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (extra, short) = match bytes.get(1)? & 0x7f {
        126 => (2, 0),
        127 => (8, 0),
        length => (0, usize::from(length)),
    };
    let wide = bytes.get(2..2 + extra)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    let length = if extra == 0 { short } else { wide };
    let mask = bytes.get(2 + extra..6 + extra)?;
    let payload = bytes.get(6 + extra..6 + extra + length)?;
    let plain = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((plain, bytes.get(6 + extra + length..)?))
}

impl RecordingProxy {
    /// Forwards to `target`.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, target, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has gone over each connection so far, oldest first.
    pub fn recordings(&self) -> Vec<Recording> {
        let recordings = self.shared.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        recordings.iter().map(|one| one.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    /// Bytes that nodes have sent, over all connections.
    pub fn bytes_from_nodes(&self) -> usize {
        self.recordings().iter().map(|one| one.from_node.len()).sum()
    }

    /// Ends every connection that stands; new ones are admitted.
    pub fn cut(&self) {
        for stream in self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        self.cut();
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    for node in listener.incoming().flatten() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        // Without a control plane the node sees a connection that ends at once.
        let Ok(hub) = TcpStream::connect(target) else { continue };
        let recording = Arc::new(Mutex::new(Recording::default()));
        shared.recordings.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&recording));
        let twins = [node.try_clone(), hub.try_clone(), node.try_clone(), hub.try_clone()];
        let [Ok(node_twin), Ok(hub_twin), Ok(node_cut), Ok(hub_cut)] = twins else { continue };
        shared.connections.lock().unwrap_or_else(PoisonError::into_inner).extend([node_cut, hub_cut]);
        let other = Arc::clone(&recording);
        std::thread::spawn(move || pump(node, hub_twin, |bytes| lock(&recording).from_node.extend_from_slice(bytes)));
        std::thread::spawn(move || pump(hub, node_twin, |bytes| lock(&other).from_hub.extend_from_slice(bytes)));
    }
}

fn lock(recording: &Mutex<Recording>) -> std::sync::MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pump(mut from: TcpStream, mut to: TcpStream, keep: impl Fn(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        keep(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_taken_off_as_in_the_example_of_rfc_6455() {
        let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let from_node = [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &frame, &frame[..5]].concat();
        let recording = Recording { from_node, from_hub: Vec::new() };
        assert_eq!(recording.node_text(), b"GET / HTTP/1.1\r\n\r\nHello\n");
    }
}
