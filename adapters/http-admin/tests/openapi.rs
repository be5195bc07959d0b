//! The OpenAPI document is made from the code, and `docs/openapi.json` is that document.

use std::collections::BTreeSet;

use novagate_http_admin::{api_document, operations};

#[test]
fn the_published_document_is_the_one_that_the_code_makes() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let published = std::fs::read_to_string(file).unwrap();
    let fresh = "run: cargo run -p novagate-http-admin --example openapi > docs/openapi.json";
    assert_eq!(published.trim(), api_document().trim(), "{fresh}");
}

#[test]
fn every_path_of_the_rest_table_is_there() {
    let operations = operations();
    let known: BTreeSet<(&str, &str)> =
        operations.iter().map(|operation| (operation.method.as_str(), operation.path.as_str())).collect();
    let table = [
        ("POST", "/auth/register"),
        ("POST", "/auth/verify"),
        ("POST", "/auth/login"),
        ("POST", "/auth/forgot-password"),
        ("POST", "/auth/reset-password"),
        ("POST", "/auth/logout"),
        ("POST", "/auth/change-password"),
        ("GET", "/tenants/{t}"),
        ("PATCH", "/tenants/{t}"),
        ("DELETE", "/tenants/{t}"),
        ("GET", "/tenants/{t}/gateway-keys"),
        ("POST", "/tenants/{t}/gateway-keys"),
        ("GET", "/tenants/{t}/gateway-keys/{id}"),
        ("DELETE", "/tenants/{t}/gateway-keys/{id}"),
        ("GET", "/tenants/{t}/consumers/{id}/keys"),
        ("POST", "/tenants/{t}/consumers/{id}/keys"),
        ("GET", "/tenants/{t}/consumers/{id}/keys/{keyId}"),
        ("DELETE", "/tenants/{t}/consumers/{id}/keys/{keyId}"),
        ("GET", "/tenants/{t}/config"),
        ("PUT", "/tenants/{t}/config"),
        ("GET", "/tenants/{t}/revisions"),
        ("GET", "/tenants/{t}/revisions/{seq}"),
        ("POST", "/tenants/{t}/revisions/{seq}/rollback"),
        ("GET", "/tenants/{t}/gateways"),
        ("GET", "/tenants/{t}/gateways/{id}"),
        ("DELETE", "/tenants/{t}/gateways/{id}"),
        ("GET", "/tenants/{t}/logs"),
        ("GET", "/tenants/{t}/errors"),
        ("GET", "/tenants/{t}/metrics"),
        ("GET", "/tenants/{t}/metrics/stream"),
        ("GET", "/tenants/{t}/health"),
        ("GET", "/tenants/{t}/audit"),
    ];
    for row in table {
        assert!(known.contains(&row), "{row:?} is missing");
    }
    for kind in ["services", "routes", "consumers"] {
        let (list, item) = (format!("/tenants/{{t}}/{kind}"), format!("/tenants/{{t}}/{kind}/{{id}}"));
        for row in
            [("GET", &list), ("POST", &list), ("GET", &item), ("PUT", &item), ("PATCH", &item), ("DELETE", &item)]
        {
            assert!(known.contains(&(row.0, row.1.as_str())), "{row:?} is missing");
        }
    }
}

#[test]
fn only_the_ways_in_work_without_a_token() {
    let public: BTreeSet<String> =
        operations().into_iter().filter(|operation| operation.public).map(|operation| operation.path).collect();
    let ways_in = ["forgot-password", "login", "register", "reset-password", "verify"];
    assert_eq!(public, ways_in.map(|name| format!("/auth/{name}")).into());
}
