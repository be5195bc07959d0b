//! A load of HTTP/2 in clear, for which the load generator has no word.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use h2::client::{self, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CONNECTIONS: usize = 8;
const STREAMS: usize = 8;

/// Asks for as long; how many requests that were.
pub(super) fn run(address: SocketAddr, path: &str, run_for: Duration) -> Result<u32> {
    let request = Request::get(format!("http://{address}{path}")).body(())?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let end = Instant::now() + run_for;
        let (mut streams, mut connections) = (JoinSet::new(), JoinSet::new());
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (client, connection) = client::handshake(stream).await?;
            // Its end is that of its requests.
            connections.spawn(connection);
            for _ in 0..STREAMS {
                streams.spawn(ask(client.clone(), request.clone(), end));
            }
        }
        let mut requests = 0;
        while let Some(of_stream) = streams.join_next().await {
            requests += of_stream??;
        }
        Ok(requests)
    })
}

/// One request after the other.
async fn ask(mut client: SendRequest<bytes::Bytes>, request: Request<()>, end: Instant) -> Result<u32> {
    let mut requests = 0;
    while Instant::now() < end {
        client = client.ready().await?;
        let (response, _) = client.send_request(request.clone(), true)?;
        let mut response = response.await?;
        ensure!(response.status() == 200, "answered {}", response.status());
        while let Some(data) = response.body_mut().data().await {
            let count = data?.len();
            response.body_mut().flow_control().release_capacity(count)?;
        }
        requests += 1;
    }
    Ok(requests)
}
