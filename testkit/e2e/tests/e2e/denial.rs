//! Who is refused where: a row for every operation of the router's own table.

use novagate_e2e::{Api, Control, PLATFORM_SECRET, PlatformClaims, Request, Response, now_seconds, platform_token};
use novagate_http_admin::{Operation, operations};
use serde_json::{Value, json};

/// Things that exist in the tenant whose door is tried.
struct Targets {
    tenant: String,
    service: String,
    route: String,
    consumer: String,
    key: String,
    gateway_key: String,
}

impl Targets {
    fn of(api: &Api) -> Self {
        let service = api.service("users", "http://10.0.0.5:8080");
        let route = api.open_route("open", "/open", "users");
        let consumer = api.consumer("app");
        let (key, _) = api.consumer_key(&consumer);
        let gateway_key = api.items("/gateway-keys")[0]["id"].as_str().unwrap().to_owned();
        Self { tenant: api.account.tenant.clone(), service, route, consumer, key, gateway_key }
    }

    /// The operation's path for something that is really there.
    fn path(&self, operation: &Operation) -> String {
        let path = &operation.path;
        let id = match path.split('/').nth(3).unwrap_or_default() {
            "services" => &self.service,
            "routes" => &self.route,
            "consumers" => &self.consumer,
            "gateway-keys" => &self.gateway_key,
            _ => "00000000-0000-4000-8000-000000000001",
        };
        let filled = path.replace("{t}", &self.tenant).replace("{id}", id);
        let filled = filled.replace("{keyId}", &self.key).replace("{seq}", "1");
        assert!(!filled.contains('{'), "a parameter that this test does not know: {filled}");
        format!("/api/v1{filled}")
    }
}

fn ask(control: &Control, operation: &Operation, path: &str, token: Option<&str>) -> Response {
    let mut request = Request::new(&operation.method, path);
    if matches!(operation.method.as_str(), "POST" | "PUT" | "PATCH") {
        request = request.json(&json!({}));
    }
    control.send(&match token {
        Some(token) => request.bearer(token),
        None => request,
    })
}

fn anonymous(response: &Response) -> Value {
    let mut body = response.json();
    body.as_object_mut().unwrap().remove("requestId");
    body
}

#[test]
fn promise_i4_every_operation_refuses_no_garbage_expired_ended_and_other_tenants_tokens() {
    let control = Control::start();
    let owner = Api::register(&control);
    let targets = Targets::of(&owner);
    let (stranger, leaver) = (Api::register(&control), Api::register(&control));
    control.send(&Request::new("POST", "/api/v1/auth/logout").bearer(&leaver.account.token)).expect(204);
    let mut claims = PlatformClaims::of(&targets.tenant, 0);
    (claims.iat, claims.exp) = (now_seconds() - 7200, now_seconds() - 1);
    let expired = platform_token(PLATFORM_SECRET, &claims);

    let before = owner.get("/config").expect(200).json();
    let guarded: Vec<Operation> = operations().into_iter().filter(|operation| !operation.public).collect();
    assert!(guarded.len() >= 35, "only {} operations", guarded.len());
    for operation in &guarded {
        let named = format!("{} {}", operation.method, operation.path);
        let path = targets.path(operation);
        let refused = |token: Option<&str>, status: u16, code: &str| {
            let answer = ask(&control, operation, &path, token);
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{named}: {}", answer.text());
            answer
        };
        refused(None, 401, "TOKEN_MISSING");
        refused(Some("garbage"), 401, "TOKEN_INVALID");
        refused(Some(&expired), 401, "TOKEN_EXPIRED");
        refused(Some(&leaver.account.token), 401, "TOKEN_INVALID");
        if operation.path.contains("{t}") {
            let theirs = refused(Some(&stranger.account.token), 404, "NOT_FOUND");
            let nobodys = path.replace(&targets.tenant, "00000000-0000-4000-8000-00000000dead");
            let nobodys = ask(&control, operation, &nobodys, Some(&stranger.account.token));
            assert_eq!(anonymous(&theirs), anonymous(&nobodys), "{named}: like a tenant that does not exist");
        }
    }
    assert_eq!(owner.get("/config").expect(200).json(), before, "nothing was changed by all of this");
}

#[test]
fn ids_of_another_tenants_objects_lead_nowhere_under_ones_own_path() {
    let control = Control::start();
    let (owner, stranger) = (Api::register(&control), Api::register(&control));
    let targets = Targets::of(&owner);
    for below in [
        format!("/services/{}", targets.service),
        format!("/routes/{}", targets.route),
        format!("/consumers/{}", targets.consumer),
        format!("/consumers/{}/keys/{}", targets.consumer, targets.key),
        format!("/gateway-keys/{}", targets.gateway_key),
    ] {
        stranger.get(&below).expect(404);
        stranger.delete(&below).expect(404);
        owner.get(&below).expect(200);
    }
    let body = json!({ "name": "mine", "targets": [{ "url": "http://10.0.0.9:80" }], "tenantId": targets.tenant });
    let refused = stranger.post("/services", &body).expect(422);
    assert_eq!(refused.at("/errors/0/pointer"), "/tenantId");
    let route = json!({ "name": "r", "match": { "path": "/r" }, "service": "users" });
    stranger.post("/routes", &route).expect(422);
}
