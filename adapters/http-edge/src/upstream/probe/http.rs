//! A probe by HTTP/1.1: one GET on a connection of its own.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use novagate_routing::HttpProbe;

use crate::upstream::stream::UpstreamConn;
use crate::wire::buffer::BufferStore;
use crate::wire::request::write_probe;
use crate::wire::response::ResponseParser;

/// Whether the target answers with a good status.
pub(super) async fn is_well(mut conn: UpstreamConn, authority: &[u8], probe: &HttpProbe) -> bool {
    let mut request = Vec::new();
    let host = probe.host.as_deref().map_or(authority, str::as_bytes);
    write_probe(&mut request, &probe.path, host);
    let (store, mut sent) = (BufferStore::default(), 0);
    let status = poll_fn(|cx| poll_status(&mut conn, cx, &request, &mut sent, &store)).await;
    status.is_some_and(|status| probe.expects(status))
}

/// The final status; nothing when what comes is no response.
fn poll_status(
    conn: &mut UpstreamConn,
    cx: &mut Context<'_>,
    request: &[u8],
    sent: &mut usize,
    store: &BufferStore,
) -> Poll<Option<u16>> {
    if ready!(conn.poll_send_all(cx, request, sent)).is_err() {
        return Poll::Ready(None);
    }
    loop {
        match ResponseParser::default().parse(conn.input.unread(), false, &mut Vec::new()) {
            Ok(Some(head)) if head.status < 200 => conn.input.consume(head.len),
            Ok(Some(head)) => return Poll::Ready(Some(head.status)),
            Ok(None) => match conn.poll_fill(cx, store) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            },
            Err(_bad) => return Poll::Ready(None),
        }
    }
}
