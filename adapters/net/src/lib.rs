//! What every server and client of ours stands on: owned tasks, sockets, an accept loop, names, TLS configurations,
//! back-off.
//!
//! Always: a task has a name and an owner, a panic is counted, an accept loop outlives a lack of file descriptors, every
//! step of a connection has a deadline, TLS uses aws-lc-rs whatever else is linked. Not here: what is served
//! (`adapters/http-*`), the edge's own HTTP/1.1 framing (`domain/framing`), protocols (`adapters/sync-*`).

mod backoff;
mod bind;
mod certificates;
mod client_tls;
mod http;
mod listener;
mod resolver;
mod self_signed;
mod tasks;
mod tls;

pub use self::{
    backoff::{BackoffError, BackoffPolicy},
    bind::{BindError, bind, bind_shared, share_socket},
    certificates::{CertificateFile, CertificateFiles, ClientAuth, FileStamp},
    client_tls::{ClientRules, ClientTrust, TlsFolder},
    http::{Encrypted, HttpLimits, HttpListener, PeerAddr, serve_http},
    listener::{Accepted, Acceptor, Slot, Slots},
    resolver::{Discovered, Instance, ResolveError, Resolved, Resolver, ResolverFiles, ResolverStartError},
    self_signed::{SelfSigned, SelfSignedError},
    tasks::{Drained, TaskEnd, TaskHandle, Tasks},
    tls::{TlsError, client_config, install_crypto_provider},
};
