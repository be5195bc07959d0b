//! What `novagate` prints for people, and that the lines which it prints work as they are.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use novagate_e2e::{Dev, Request, request};

/// A `curl` line of the banner, read as strictly as it is written.
struct CurlLine {
    address: SocketAddr,
    request: Request,
}

impl CurlLine {
    /// `curl -i [-H 'Name: value'] http://<address>/<path>[   # a remark]`.
    fn parse(line: &str) -> Self {
        let command = line.split_once("   # ").map_or(line, |(command, _)| command);
        let rest = command.strip_prefix("curl -i ").unwrap_or_else(|| panic!("no curl line: {line}"));
        let (header, url) = match rest.strip_prefix("-H '") {
            None => (None, rest),
            Some(rest) => {
                let (header, url) = rest.split_once("' ").unwrap_or_else(|| panic!("an open quote: {line}"));
                (Some(header.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"))), url)
            }
        };
        assert!(!url.contains([' ', '\'', '"', '$', '\\']), "a shell would not take this as one word: {url}");
        let place = url.strip_prefix("http://").unwrap_or_else(|| panic!("no URL: {line}"));
        let (address, path) = place.split_once('/').unwrap_or_else(|| panic!("no path: {line}"));
        let request = Request::get(&format!("/{path}"));
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        Self { address: address.parse().unwrap(), request }
    }

    fn status(&self) -> u16 {
        request(self.address, &self.request).unwrap().status
    }
}

/// The lines below `Try:`.
fn curl_lines(banner: &str) -> Vec<&str> {
    let (_, rest) = banner.split_once("Try:\n\n").unwrap_or_else(|| panic!("nothing to try:\n{banner}"));
    rest.lines().take_while(|line| !line.is_empty()).map(|line| line.strip_prefix("  ").unwrap()).collect()
}

/// The status that a shell sees when the line is pasted; `None` where there is no curl.
fn pasted(line: &str) -> Option<u16> {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().ok()?;
    let output = Command::new("sh").args(["-c", line]).stderr(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}");
    let said = String::from_utf8(output.stdout).unwrap();
    let status = said.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Some(status.unwrap_or_else(|| panic!("no status: {said}")))
}

fn assert_lines_answer(banner: &str, statuses: [u16; 3]) {
    let lines = curl_lines(banner);
    assert_eq!(lines.len(), statuses.len(), "{banner}");
    for (line, status) in lines.into_iter().zip(statuses) {
        assert_eq!(CurlLine::parse(line).status(), status, "{line}");
        assert_eq!(pasted(line).unwrap_or(status), status, "{line}");
    }
}

/// Words that begin a line of the banner and name what follows, in its order.
const LABELS: [&str; 11] = [
    "control plane",
    "gateway",
    "gateway admin",
    "demo upstream",
    "data",
    "tenant",
    "e-mail",
    "password",
    "API token",
    "gateway key",
    "consumer key",
];

/// Those that the banner has.
fn labels(banner: &str) -> Vec<&str> {
    let label = |line: &str| LABELS.into_iter().find(|label| line.starts_with(&format!("  {label}  ")));
    banner.lines().filter_map(label).collect()
}

#[test]
fn the_curl_lines_of_the_banner_work_as_printed_at_the_first_start_and_at_the_second() {
    let mut dev = Dev::new();
    let first = dev.start_for_people(&[]);
    assert!(first.starts_with("NovaGate is ready.\n"), "{first}");
    assert_eq!(labels(&first), LABELS, "{first}");
    assert_lines_answer(&first, [200, 200, 200]);
    assert!(curl_lines(&first)[2].contains("X-API-Key: ck_"));
    assert_eq!(dev.interrupt().code, Some(0));

    let second = dev.start_for_people(&["dev"]);
    assert_eq!(labels(&second), LABELS[..5], "credentials are shown once:\n{second}");
    assert!(second.contains("were shown at the first start"), "{second}");
    assert!(!second.contains("ck_") && !second.contains("gw_"), "{second}");
    assert_lines_answer(&second, [200, 200, 401]);
    let exit = dev.interrupt();
    assert_eq!(exit.code, Some(0));
    assert!(exit.stderr.contains("stopping"), "{}", exit.stderr);
}

#[test]
fn without_the_demo_there_is_a_tenant_and_nothing_to_try() {
    let mut dev = Dev::new();
    let banner = dev.start_for_people(&["--no-demo"]);
    let want = [
        "control plane",
        "gateway",
        "gateway admin",
        "data",
        "tenant",
        "e-mail",
        "password",
        "API token",
        "gateway key",
    ];
    assert_eq!(labels(&banner), want, "{banner}");
    assert!(!banner.contains("curl"), "{banner}");
    let [_, gateway, _, upstream] = dev.ports();
    let answer = request(SocketAddr::from(([127, 0, 0, 1], gateway)), &Request::get("/hello")).unwrap();
    assert_eq!(answer.expect(404).code(), "ROUTE_NOT_FOUND");
    assert!(std::net::TcpStream::connect(("127.0.0.1", upstream)).is_err(), "no upstream listens");
    assert_eq!(dev.interrupt().code, Some(0));
    let again = dev.start_for_people(&["dev", "--no-demo"]);
    assert_eq!(labels(&again), want[..4], "{again}");
    assert_eq!(dev.interrupt().code, Some(0));
}
