//! `novagate dev`: the first command of the README.

use std::net::TcpListener;

use novagate_e2e::{Dev, Request, request};
use serde_json::Value;

fn text<'a>(said: &'a Value, field: &str) -> &'a str {
    said[field].as_str().unwrap_or_else(|| panic!("no {field} in {said}"))
}

fn assert_demo_serves(said: &Value) {
    let gateway = Dev::address(said, "gatewayUrl");
    let get = |wanted: &Request| request(gateway, wanted).unwrap();
    get(&Request::get("/hello")).expect(200);
    assert_eq!(get(&Request::get("/users/42")).expect(401).code(), "TOKEN_MISSING");
    get(&Request::get("/users/42").bearer(text(said, "consumerJwt"))).expect(200);
}

#[test]
fn the_three_requests_of_the_first_start_work_and_a_second_start_keeps_the_data() {
    let mut dev = Dev::new();
    let first = dev.start();
    assert_demo_serves(&first);
    let gateway = Dev::address(&first, "gatewayUrl");
    let key = text(&first, "consumerKey").to_owned();
    let with_key = Request::get("/users/42").header("x-api-key", &key);
    request(gateway, &with_key).unwrap().expect(200);
    for field in ["controlUrl", "gatewayAdminUrl", "upstreamUrl", "email", "password", "token", "gatewayApiKey"] {
        assert!(!text(&first, field).is_empty());
    }
    let control = Dev::address(&first, "controlUrl");
    let page = request(control, &Request::get("/")).unwrap().expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let tenant = format!("/api/v1/tenants/{}", text(&first, "tenantId"));
    request(control, &Request::get(&tenant).bearer(text(&first, "token"))).unwrap().expect(200);

    let exit = dev.interrupt();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    let logged = exit.stdout.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut paths: Vec<String> = logged.map(|line| text(&line, "path").to_owned()).collect();
    // Each worker keeps its own order.
    paths.sort_unstable();
    assert_eq!(paths, ["/hello", "/users/{id}", "/users/{id}", "/users/{id}"], "requests are logged below");

    let second = dev.start();
    assert_eq!(second["tenantId"], first["tenantId"]);
    assert_eq!(second["consumerKey"], Value::Null, "credentials are shown once");
    assert_demo_serves(&second);
    request(gateway, &with_key).unwrap().expect(200);
    assert_eq!(dev.interrupt().code, Some(0));
}

#[test]
fn a_taken_port_is_an_error_that_names_the_flag() {
    let dev = Dev::new();
    let flags = ["--control-addr", "--gateway-addr", "--gateway-admin-addr", "--upstream-addr"];
    for (port, flag) in dev.ports().into_iter().zip(flags) {
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let exit = dev.start_in_vain();
        assert_eq!(exit.code, Some(69), "{flag}: {}", exit.stderr);
        assert!(exit.stderr.contains(flag), "{flag}: {}", exit.stderr);
        assert!(exit.stdout.is_empty(), "{}", exit.stdout);
    }
}
