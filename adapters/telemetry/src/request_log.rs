//! Request logs: one JSON object per line on standard output.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use novagate_documents::logs::LogLineWriter;
use novagate_ports_edge::{LoggedRequest, RecordSink};

/// Lines are written out when this much has come together, at the latest.
const BUFFER_BYTES: usize = 64 * 1024;

/// Writes request logs to standard output, off the request path.
#[derive(Debug, Default)]
pub struct StdoutRequestLog {
    lines: Mutex<Lines>,
    failures: AtomicU64,
}

/// What is not written out yet.
#[derive(Debug, Default)]
struct Lines {
    writer: LogLineWriter,
    buffer: Vec<u8>,
}

impl StdoutRequestLog {
    /// How often standard output took nothing, because it is closed or full; the lines of such a write are lost.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn write_out(&self, buffer: &mut Vec<u8>) {
        let mut out = io::stdout().lock();
        if out.write_all(buffer).and_then(|()| out.flush()).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        buffer.clear();
    }
}

impl RecordSink for StdoutRequestLog {
    fn write(&self, request: &LoggedRequest<'_>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Lines { writer, buffer } = &mut *lines;
        writer.write(request, buffer);
        if buffer.len() >= BUFFER_BYTES {
            self.write_out(buffer);
        }
    }

    fn flush(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.buffer.is_empty() {
            self.write_out(&mut lines.buffer);
        }
    }
}
