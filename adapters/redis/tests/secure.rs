//! Servers behind TLS, and servers that sentinels know the address of.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use novagate_contracts::{leave_out, run};
use novagate_fixtures::{SeededEntropy, wait_until};
use novagate_policies::{RateLimit, SharedAsk, SharedKey};
use novagate_ports_edge::{SharedCounter, SharedCounters as _};
use novagate_redis::{Redis, RedisTarget};
use novagate_services::{Redis as Server, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{redis_at, target};

const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(purpose: &str) -> Self {
        let path = std::env::temp_dir().join(format!("novagate-redis-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A process that goes with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn counter(target: &RedisTarget) -> Arc<dyn SharedCounter> {
    Redis::new(target, Arc::new(SeededEntropy::new(1))).unwrap().counters().for_worker()
}

async fn counts(counter: &Arc<dyn SharedCounter>) -> bool {
    let limit = RateLimit { max: 1_000, window: Duration::from_mins(10) };
    counter.admit(Some(SharedAsk { key: SharedKey::from_hash([7; 16]), limit }), None).await.is_ok()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn tls_is_spoken_with_authorities_of_ones_own_and_only_with_them() {
    run(async {
        novagate_net::install_crypto_provider();
        let (folder, ours, others) = (Folder::new("tls"), authority(), authority());
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ours).unwrap();
        let (cert, key) = (folder.file("cert.pem", &certificate.pem()), folder.file("key.pem", &key.serialize_pem()));
        let (ca, port) = (folder.file("ca.pem", &ours.pem()), free_port());
        let port_text = port.to_string();
        let settings = [
            ["--tls-port", &port_text],
            ["--tls-cert-file", &cert],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &ca],
            ["--tls-auth-clients", "no"],
        ];
        let Some(server) = Server::own_with(settings.as_flattened()) else { leave_out() };
        let secure = |authorities: Option<String>| RedisTarget {
            secure: true,
            authorities: authorities.map(String::into_bytes),
            ..target(&server.url_through(port))
        };
        let trusting = counter(&secure(Some(ours.pem())));
        wait_until("it counts over TLS", PATIENCE, async || counts(&trusting).await).await;
        for wrong in [Some(others.pem()), None] {
            let distrusting = counter(&secure(wrong));
            for _ in 0..3 {
                assert!(!counts(&distrusting).await);
            }
        }
        let plain = redis_at(&server.url_through(port), 1).counters().for_worker();
        assert!(!counts(&plain).await, "nothing is said in plain text");
        for bad in ["", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"] {
            let refused = Redis::new(&secure(Some(bad.to_owned())), Arc::new(SeededEntropy::new(1)));
            assert!(refused.is_err(), "{bad}");
        }
    });
}

fn start_sentinel(folder: &Path, port: u16, server: &Server, password: &str) -> Running {
    let config = format!(
        "port {port}\nbind 127.0.0.1\nrequirepass watch\nsentinel monitor main 127.0.0.1 {} 1\n\
         sentinel auth-pass main {password}\nsentinel down-after-milliseconds main 300\n\
         sentinel failover-timeout main 1000\n",
        server.port()
    );
    let file = folder.join("sentinel.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel").current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    Running(command.spawn().expect("redis-server is installed"))
}

#[test]
fn sentinels_lead_to_the_server_and_after_its_end_to_the_next() {
    run(async {
        let Some(first) = Server::own() else { leave_out() };
        let password = target(&first.url()).password.unwrap();
        let upstream = first.port().to_string();
        let replica = ["--replicaof", &format!("127.0.0.1 {upstream}"), "--masterauth", &password];
        let second = Server::own_with(&replica).unwrap();
        second.command(0, &format!("CONFIG SET requirepass {password}"));
        first.command(0, &format!("CONFIG SET masterauth {password}"));
        let (folder, port) = (Folder::new("sentinel"), free_port());
        let _sentinel = start_sentinel(&folder.0, port, &first, &password);
        let known = || first.command(0, "INFO replication").contains("connected_slaves:1");
        wait_until("the replica follows", PATIENCE, async || known()).await;
        let named = RedisTarget {
            hosts: vec![("127.0.0.1".to_owned(), free_port()), ("127.0.0.1".to_owned(), port)],
            service: Some("main".to_owned()),
            sentinel_password: Some("watch".to_owned()),
            ..target(&first.url())
        };
        let counter = counter(&named);
        wait_until("it counts through the sentinels", PATIENCE, async || counts(&counter).await).await;
        first.stop();
        assert!(!counts(&counter).await);
        wait_until("it counts on the next server", PATIENCE, async || counts(&counter).await).await;
    });
}
