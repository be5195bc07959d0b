//! The others: nginx, `HAProxy`, Caddy and Pingora, with one thread each and kept connections to the upstream.
//!
//! Always: a peer that is not installed is told apart from one that does not start. Not here: measuring.

mod pingora;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::http::{self, Request};
use crate::process::Program;
use crate::workspace::{WorkDir, free_addresses};
use crate::{machine, wait};

pub(crate) use self::pingora::pingora;

/// What the upstream answers.
pub(crate) const ANSWER: &str = r#"{"id":42,"name":"Ada","roles":["admin","author"],"active":true}"#;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    /// Its access log, if it keeps one.
    pub(crate) log: Option<PathBuf>,
}

/// nginx as the upstream: a small JSON from memory.
pub(crate) fn upstream(work: &WorkDir) -> Result<Option<Peer>> {
    let [address] = free_addresses()?;
    let server = format!("location / {{ default_type application/json; return 200 '{ANSWER}'; }}");
    start_nginx(work, "upstream", address, "", &server, None)
}

/// A path of [`varied_upstream`] that answers the text.
pub(crate) const LARGE_PATH: &str = "/large";
/// The same, for a route that compresses.
pub(crate) const CODED_PATH: &str = "/coded";
/// A path that answers in chunks whoever takes gzip.
pub(crate) const CHUNKED_PATH: &str = "/chunked";

/// nginx as an upstream whose responses differ: small, a text, in chunks.
pub(crate) fn varied_upstream(work: &WorkDir, text: &[u8]) -> Result<Option<Peer>> {
    let [address] = free_addresses()?;
    let file = work.path().join("text");
    std::fs::write(&file, text)?;
    let server = format!(
        "default_type application/json;
        location / {{ return 200 '{ANSWER}'; }}
        location = {LARGE_PATH} {{ alias {file}; }}
        location = {CODED_PATH} {{ alias {file}; }}
        location = {CHUNKED_PATH} {{ gzip on; gzip_types *; gzip_min_length 1; return 200 '{ANSWER}'; }}",
        file = file.display()
    );
    start_nginx(work, "upstream", address, "", &server, None)
}

/// nginx as a plain proxy.
pub(crate) fn nginx_plain(work: &WorkDir, upstream: SocketAddr) -> Result<Option<Peer>> {
    let [address] = free_addresses()?;
    start_nginx(work, "nginx", address, &nginx_pool(upstream), NGINX_PASS, None)
}

/// nginx as a proxy with what a gateway does at the least: an access log (buffered JSON) and a rate limit.
pub(crate) fn nginx_logged(work: &WorkDir, upstream: SocketAddr) -> Result<Option<Peer>> {
    let [address] = free_addresses()?;
    let log = work.path().join("nginx-logged.access.log");
    let http = format!(
        "{}
        limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;
        log_format record escape=json '{{\"at\":\"$time_iso8601\",\"requestId\":\"$request_id\",\"method\":\"$request_method\",\"path\":\"$uri\",\"status\":$status,\"latency\":$request_time,\"upstream\":\"$upstream_response_time\"}}';
        access_log {} record buffer=64k flush=1s;",
        nginx_pool(upstream),
        log.display()
    );
    let server = format!("limit_req zone=clients burst=1000000 nodelay; {NGINX_PASS}");
    start_nginx(work, "nginx-logged", address, &http, &server, Some(log))
}

/// `HAProxy` as a plain proxy.
pub(crate) fn haproxy(work: &WorkDir, upstream: SocketAddr) -> Result<Option<Peer>> {
    let Some(binary) = machine::installed("haproxy") else { return Ok(None) };
    let [address] = free_addresses()?;
    let text = format!(
        "global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  option http-keep-alive
  http-reuse always
frontend traffic
  bind {address}
  default_backend origin
backend origin
  server one {upstream}
"
    );
    let file = work.file("haproxy.cfg", &text)?;
    let mut command = Command::new(binary);
    command.arg("-db").arg("-f").arg(file).stdout(Stdio::null());
    let program = Program::start("haproxy", work.path(), &mut command)?;
    ready(Peer { program, address, log: None }).map(Some)
}

/// Caddy as a plain proxy, with one thread for its own code (the Go runtime has others).
pub(crate) fn caddy(work: &WorkDir, upstream: SocketAddr) -> Result<Option<Peer>> {
    let Some(binary) = machine::installed("caddy") else { return Ok(None) };
    let [address] = free_addresses()?;
    let dir = work.dir("caddy")?;
    let text = format!(
        "{{
  admin off
  auto_https off
}}
http://{address} {{
  bind {host}
  reverse_proxy {upstream} {{
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
",
        host = address.ip()
    );
    let file = work.file("Caddyfile", &text)?;
    let mut command = Command::new(binary);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).stdout(Stdio::null());
    command.env("GOMAXPROCS", "1").env("HOME", &dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir);
    let program = Program::start("caddy", work.path(), &mut command)?;
    ready(Peer { program, address, log: None }).map(Some)
}

/// The versions of the installed peers, for the page of results.
pub(crate) fn versions() -> String {
    let known = [("nginx", "-v"), ("haproxy", "-v"), ("caddy", "version"), ("wrk", "-v")];
    let found = known.iter().filter_map(|(name, flag)| {
        let program = machine::installed(name)?;
        Some(format!("{name} {}", machine::version(&program, flag)))
    });
    let pingora = pingora::version().map(|version| format!("pingora {version}"));
    found.chain(pingora).collect::<Vec<_>>().join(", ")
}

const NGINX_PASS: &str =
    "location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";

fn nginx_pool(upstream: SocketAddr) -> String {
    format!("upstream origin {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}")
}

fn start_nginx(
    work: &WorkDir,
    name: &str,
    address: SocketAddr,
    http: &str,
    server: &str,
    log: Option<PathBuf>,
) -> Result<Option<Peer>> {
    let Some(binary) = machine::installed("nginx") else { return Ok(None) };
    let dir = work.dir(name)?;
    let access_log = if log.is_some() { "" } else { "access_log off;" };
    let text = format!(
        "daemon off;
worker_processes 1;
pid {dir}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  {temporary}
  {access_log}
  {http}
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  server {{ listen {address}; {server} }}
}}
",
        dir = dir.display(),
        temporary = temporary_paths(&dir),
    );
    let file = work.file(&format!("{name}.conf"), &text)?;
    let mut command = Command::new(binary);
    command.arg("-e").arg("stderr").arg("-p").arg(&dir).arg("-c").arg(file).stdout(Stdio::null());
    let program = Program::start(name, work.path(), &mut command)?;
    ready(Peer { program, address, log }).map(Some)
}

/// The built-in ones belong to the system's nginx.
fn temporary_paths(dir: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    kinds.map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display())).join(" ")
}

fn ready(mut peer: Peer) -> Result<Peer> {
    wait::until("a first answer", READY_WITHIN, wait::UNHURRIED, || {
        peer.program.still_runs()?;
        let answer = http::ask(peer.address, Request::get("/", None));
        Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
    })?;
    Ok(peer)
}
