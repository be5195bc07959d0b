//! A tenant is erased.

use novagate_e2e::{Api, PATIENCE, Request, World, wait_until};
use serde_json::json;

#[test]
fn an_erased_tenant_is_gone_everywhere_and_its_gateway_goes_on_serving() {
    let world = World::start();
    let api = &world.api;
    let other = Api::register(&world.control);
    api.wait_acked();
    let etagged = api.get("").expect(200);
    assert_eq!(etagged.str_at("/id"), api.account.tenant);
    let erased = api.delete("").expect(200);
    assert_eq!(erased.at("/tenantId"), json!(api.account.tenant));
    assert_eq!(erased.at("/erased/gatewayKeys"), 1);
    assert!(erased.at("/erased/objects").as_u64().unwrap() >= 3, "{}", erased.text());
    assert!(erased.str_at("/remains/0/command").contains("rm -rf"), "{}", erased.text());

    for below in ["", "/services", "/routes", "/logs", "/config", "/gateway-keys"] {
        let answer = api.get(below);
        assert!(matches!(answer.status, 401 | 404), "{below}: {}", answer.text());
        other.send(api.request("GET", below)).expect(404);
    }
    let login = json!({ "email": api.account.email, "password": api.account.password });
    world.control.send(&Request::new("POST", "/api/v1/auth/login").json(&login)).expect(401);
    wait_until("the gateway is told", PATIENCE, || !world.gateway.is_connected());
    world.gateway.get("/open/x").expect(200);
    other.get("").expect(200);
    let underscored = api.account.tenant.replace('-', "_");
    let names_it = |name: &String| name.contains(&api.account.tenant) || name.contains(&underscored);
    let left: Vec<_> = world.control.names().into_iter().filter(names_it).collect();
    assert!(left.is_empty(), "{left:?}");
    Api::register_as(&world.control, &api.account.email, "another good password");
}
