//! How the control plane terminates TLS: with the files it was given, or with an authority of its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use novagate_net::{CertificateFile, CertificateFiles, ClientAuth, HttpListener, SelfSigned, Tasks};
use novagate_ports_base::Clock;
use novagate_settings::{ControlSettings, ServerTls, TlsFiles};

use crate::StartError;

/// How often a certificate of our own is issued anew.
const RENEWAL_TURN: Duration = Duration::from_hours(24);
/// What the control plane is called in `compose.yaml`.
const SERVICE_NAME: &str = "control";

/// What clients are shown.
pub(crate) enum Shown {
    Files(Arc<CertificateFiles>),
    Own(Box<SelfSigned>),
}

/// The public listener, and what it shows.
pub(crate) fn listener(
    settings: &ControlSettings,
    socket: TcpListener,
    clock: &dyn Clock,
) -> Result<(HttpListener, Option<Shown>), StartError> {
    let (tls, shown) = match &settings.tls {
        None => (None, None),
        Some(ServerTls::Files(TlsFiles { cert, key })) => {
            let files = CertificateFiles::load(vec![CertificateFile { cert: cert.clone(), key: key.clone() }])?;
            (Some(files.server_config(&ClientAuth::None)?), Some(Shown::Files(files)))
        }
        Some(ServerTls::SelfSigned) => {
            let own = SelfSigned::open(&settings.data_dir, &names(settings), now(clock))?;
            (Some(own.server_config()?), Some(Shown::Own(Box::new(own))))
        }
    };
    Ok((HttpListener { name: "control", socket, tls }, shown))
}

/// Keeps what is shown fresh until the program stops.
pub(crate) async fn renew(shown: Shown, clock: Arc<dyn Clock>, tasks: Tasks) {
    let stop = tasks.soft();
    let own = match shown {
        Shown::Own(own) => own,
        Shown::Files(files) => return stop.run_until_cancelled(files.follow()).await.unwrap_or_default(),
    };
    let mut turns = tokio::time::interval(RENEWAL_TURN);
    // The first turn comes at once; that certificate has just been issued.
    turns.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        if let Err(error) = own.renew(now(clock.as_ref())) {
            tracing::warn!(%error, "the certificate was not renewed; it is tried again in a day");
        }
    }
}

/// Whatever gateways and browsers may call this machine.
fn names(settings: &ControlSettings) -> Vec<String> {
    let fixed = ["localhost", "127.0.0.1", "::1", SERVICE_NAME].map(str::to_owned);
    let listen = (!settings.listen.ip().is_unspecified()).then(|| settings.listen.ip().to_string());
    let public = settings.public_url.as_ref().map(|url| url.host().to_owned());
    fixed.into_iter().chain(listen).chain(public).chain(novagate_system::host_name()).collect()
}

fn now(clock: &dyn Clock) -> SystemTime {
    let micros = u64::try_from(clock.now().as_micros()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}
