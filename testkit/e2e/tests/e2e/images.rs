//! The images: an ordinary user, no capability, a root that nobody can write to, and everything works all the same.

use std::collections::BTreeSet;

use novagate_e2e::{
    Connection, Container, ContainerOptions, EDGE_SECRET, Folder, Images, Network, PATIENCE, PLATFORM_SECRET, Request,
    Volume, request, wait_for,
};
use serde_json::json;

/// A gateway and the demo upstream behind `/open/*`, the configuration from a file.
struct Pair {
    gateway: Container,
    _upstream: Container,
    _network: Network,
    _folder: Folder,
}

impl Pair {
    fn start(images: &Images) -> Self {
        let network = Network::new();
        let upstream = upstream(images, &network);
        let folder = config_folder();
        let environment = vec![
            ("CONFIG_FILE", "/config/demo.yaml".to_owned()),
            ("JWT_SECRET", EDGE_SECRET.to_owned()),
            ("RATE_LIMIT_UNAUTH_MAX", "1000000".to_owned()),
        ];
        let mounts = vec![format!("{}:/config:ro", folder.path().display())];
        let gateway =
            images.start(&network, &ContainerOptions { image: "gateway", alias: "gateway", environment, mounts });
        gateway.wait_healthy();
        Self { gateway, _upstream: upstream, _network: network, _folder: folder }
    }
}

fn upstream(images: &Images, network: &Network) -> Container {
    let options = ContainerOptions { image: "demo", alias: "upstream", environment: Vec::new(), mounts: Vec::new() };
    images.start(network, &options)
}

/// A configuration that any user may read.
fn config_folder() -> Folder {
    let folder = Folder::new("container-config");
    let config = json!({
        "services": [{ "name": "demo", "targets": [{ "url": "http://upstream:8001" }] }],
        "routes": [{ "name": "open", "match": { "path": "/open/*" }, "service": "demo" }],
    });
    // JSON is YAML too.
    std::fs::write(folder.path().join("demo.yaml"), config.to_string()).expect("the folder can be written");
    folder
}

/// The container answers through the whole chain; fails with its log otherwise.
fn wait_traffic(gateway: &Container) {
    let address = gateway.address(8000);
    let answer = wait_for("traffic passes the container", PATIENCE, || {
        request(address, &Request::get("/open/first")).ok().filter(|response| response.status == 200)
    });
    assert_eq!(answer.str_at("/upstream"), "demo");
}

fn assert_unprivileged(container: &Container) {
    let status = container.process_status();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let one = |text: &str| BTreeSet::from([text.to_owned()]);
    assert_eq!((field("Uid:"), field("Gid:")), (one("65532"), one("65532")), "{status}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), one("0000000000000000"), "{set} {status}");
    }
    assert_eq!(field("NoNewPrivs:"), one("1"));
    assert_eq!(container.inspect("{{.HostConfig.ReadonlyRootfs}}"), "true");
}

#[test]
fn promise_i1_traffic_and_configuration_flow_through_unprivileged_containers_and_survive_restarts() {
    let Some(images) = Images::of_this_run() else { return };
    let network = Network::new();
    let _upstream = upstream(&images, &network);
    let folder = config_folder();
    let (data, public, node) = (Volume::new("data"), Volume::new("public"), Volume::new("node"));
    let environment = vec![
        ("PLATFORM_JWT_SECRET", PLATFORM_SECRET.to_owned()),
        ("TLS_SELF_SIGNED", "true".to_owned()),
        ("PUBLIC_URL", "https://control:8080".to_owned()),
    ];
    let config = format!("{}:/config:ro", folder.path().display());
    let mounts = vec![data.at("/data"), public.at("/data/public"), config];
    let control = images.start(&network, &ContainerOptions { image: "control", alias: "control", environment, mounts });
    control.wait_healthy();
    let create = ["/novagate-control", "tenants", "create", "--name=Demo", "--email=demo@example.org", "--if-absent"];
    let files = ["--gateway-key-file=/data/public/gateway_key", "--apply=/config/demo.yaml"];
    let created = control.exec(&[create.as_slice(), files.as_slice()].concat()).expect_ok();
    assert!(created.contains("tenantId") && !created.contains("gw_"), "{created}");
    let again = control.exec(&[create.as_slice(), files.as_slice()].concat()).expect_ok();
    assert!(again.contains("nothing is changed"), "{again}");

    let environment = vec![
        ("CONTROL_PLANE_URL", "wss://control:8080".to_owned()),
        ("CONTROL_PLANE_CA_FILE", "/run/novagate/ca.pem".to_owned()),
        ("GATEWAY_API_KEY_FILE", "/run/novagate/gateway_key".to_owned()),
        ("JWT_SECRET", EDGE_SECRET.to_owned()),
    ];
    let mounts = vec![node.at("/data"), public.at("/run/novagate:ro")];
    let gateway = images.start(&network, &ContainerOptions { image: "gateway", alias: "gateway", environment, mounts });
    gateway.wait_healthy();
    wait_traffic(&gateway);
    assert_unprivileged(&gateway);
    assert_unprivileged(&control);

    assert_eq!(control.stop(), "0");
    assert_eq!(gateway.stop(), "0");
    gateway.start_again();
    wait_traffic(&gateway);
    gateway.wait_healthy();
}

#[test]
fn promise_i1_a_write_outside_the_volume_is_refused_with_a_clear_message() {
    let Some(images) = Images::of_this_run() else { return };
    let key = format!("gw_{}_{}", "00000000-0000-4000-8000-000000000001", "0".repeat(32));
    let gateway = [
        ("DATA_DIR", "/elsewhere"),
        ("JWT_SECRET", EDGE_SECRET),
        ("CONTROL_PLANE_URL", "wss://control"),
        ("GATEWAY_API_KEY", key.as_str()),
    ];
    let control = [("DATA_DIR", "/elsewhere"), ("PLATFORM_JWT_SECRET", PLATFORM_SECRET)];
    let own_authority =
        [("DATA_DIR", "/elsewhere"), ("PLATFORM_JWT_SECRET", PLATFORM_SECRET), ("TLS_SELF_SIGNED", "true")];
    for (image, environment) in
        [("gateway", gateway.as_slice()), ("control", control.as_slice()), ("control", own_authority.as_slice())]
    {
        let said = images.run(image, environment, &[]);
        assert_eq!(said.code, Some(69), "{image}: {said:?}");
        for part in ["DATA_DIR", "/elsewhere", "Read-only file system"] {
            assert!(said.stderr.contains(part), "{image}: {said:?}");
        }
    }
}

#[test]
fn promise_i1_docker_stop_loses_no_request() {
    let Some(images) = Images::of_this_run() else { return };
    let pair = Pair::start(&images);
    wait_traffic(&pair.gateway);
    let address = pair.gateway.address(8000);
    let (started, starts) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let started = started.clone();
            std::thread::spawn(move || {
                let mut answers = 0;
                // Until nobody listens any more; whoever could connect must be answered.
                while let Ok(mut connection) = Connection::open(address) {
                    loop {
                        let delay = 20 + 40 * number;
                        let target = format!("/open/load?delayMs={delay}");
                        let response = connection.send(&Request::get(&target)).expect("a request is answered");
                        assert_eq!(response.status, 200);
                        answers += 1;
                        let _ = started.send(());
                        if response.header("connection") == Some("close") {
                            break;
                        }
                    }
                }
                answers
            })
        })
        .collect();
    (0..40).for_each(|_| starts.recv().expect("the load runs"));
    assert_eq!(pair.gateway.stop(), "0");
    let answers: u32 = threads.into_iter().map(|thread| thread.join().expect("no request is lost")).sum();
    assert!(answers >= 40);
}

#[test]
fn promise_i1_images_hold_one_program_for_an_ordinary_user_and_one_volume() {
    let Some(images) = Images::of_this_run() else { return };
    for (image, volumes) in [("gateway", "/data"), ("control", "/data"), ("demo", "")] {
        assert_eq!(images.inspect(image, "{{.Config.User}}"), "65532:65532", "{image}");
        assert_eq!(images.inspect(image, "{{range $path, $_ := .Config.Volumes}}{{$path}}{{end}}"), volumes, "{image}");
        assert_eq!(images.inspect(image, "{{.Config.StopSignal}}"), "SIGTERM", "{image}");
    }
    for image in ["gateway", "control"] {
        let program = format!("[CMD /novagate-{image} healthcheck]");
        assert_eq!(images.inspect(image, "{{.Config.Healthcheck.Test}}"), program);
        // Nobody serves in a container of its own.
        let said = images.run(image, &[], &["healthcheck"]);
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(said.stderr.contains("not ready: 127.0.0.1:"), "{said:?}");
    }
}
