//! Connections to a target in the protocol that is spoken with it.

use std::rc::Rc;
use std::time::Duration;

use novagate_routing::Protocol;

use super::connect::ConnectFault;
use super::stream::UpstreamConn;
use super::target::UpstreamTarget;
use crate::worker::Worker;

/// A connection that is there already: an idle one, or a stream on one that is shared. `is_second`: an old one has failed
/// this request before, so none is trusted to be more than new.
pub(crate) fn kept(target: &UpstreamTarget, protocol: Protocol, is_second: bool) -> Option<Box<UpstreamConn>> {
    match protocol {
        Protocol::Http1 if is_second => None,
        Protocol::Http1 => target.take_idle(),
        Protocol::Http2 => {
            let mut conn = target.http2.take(target.url.tls)?;
            conn.reused &= !is_second;
            Some(Box::new(conn))
        }
    }
}

/// A connection that is not there yet.
pub(crate) async fn connect(
    worker: &Worker,
    target: &Rc<UpstreamTarget>,
    protocol: Protocol,
    limit: Duration,
) -> Result<Box<UpstreamConn>, ConnectFault> {
    // In boxes: requests on connections that are there need not have room for it.
    let made = match protocol {
        Protocol::Http1 => Box::pin(worker.shared.connector.connect(target, limit)).await,
        Protocol::Http2 => Box::pin(target.http2.open(worker, target, limit)).await,
    };
    made.map(Box::new)
}
