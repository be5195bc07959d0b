//! The REST API as one tenant uses it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::control::Dial;
use crate::{Control, PATIENCE, Request, Response, wait_until};

/// What registration answers, and what it was asked with.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The tenant's id.
    pub tenant: String,
    /// Its platform token.
    pub token: String,
    /// Its first gateway key.
    pub gateway_key: String,
    /// Its address.
    pub email: String,
    /// Its password.
    pub password: String,
}

/// One tenant at a control plane.
#[derive(Clone)]
pub struct Api {
    dial: Dial,
    /// Who it is.
    pub account: Registered,
}

impl Api {
    /// Registers a new tenant.
    pub fn register(control: &Control) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let email = format!("tenant-{}@example.org", NEXT.fetch_add(1, Ordering::Relaxed));
        Self::register_as(control, &email, "correct horse battery")
    }

    /// Registers a tenant with this address and password.
    pub fn register_as(control: &Control, email: &str, password: &str) -> Self {
        let body = json!({ "name": "Tenant of a test", "email": email, "password": password });
        let answer = control.send(&Request::new("POST", "/api/v1/auth/register").json(&body)).expect(201);
        let account = Registered {
            tenant: answer.str_at("/tenantId"),
            token: answer.str_at("/token"),
            gateway_key: answer.str_at("/gatewayApiKey"),
            email: email.to_owned(),
            password: password.to_owned(),
        };
        Self { dial: control.dial(), account }
    }

    /// The same tenant at another control node.
    pub fn at(&self, control: &Control) -> Self {
        Self { dial: control.dial(), account: self.account.clone() }
    }

    /// The same tenant through something that stands in front of control nodes.
    pub fn through(&self, address: std::net::SocketAddr) -> Self {
        Self { dial: Dial::plain(address), account: self.account.clone() }
    }

    /// The path of something of this tenant.
    pub fn path(&self, below: &str) -> String {
        format!("/api/v1/tenants/{}{below}", self.account.tenant)
    }

    /// Sends a request with this tenant's token.
    pub fn send(&self, request: Request) -> Response {
        self.dial.send(&request.bearer(&self.account.token))
    }

    /// Sends a request with this tenant's token to a control plane that may be gone.
    pub fn try_send(&self, request: Request) -> std::io::Result<Response> {
        self.dial.try_send(&request.bearer(&self.account.token))
    }

    /// A request for something of this tenant, without token yet.
    pub fn request(&self, method: &str, below: &str) -> Request {
        Request::new(method, &self.path(below))
    }

    /// GET, of something of this tenant.
    pub fn get(&self, below: &str) -> Response {
        self.send(self.request("GET", below))
    }

    /// POST of JSON.
    pub fn post(&self, below: &str, body: &Value) -> Response {
        self.send(self.request("POST", below).json(body))
    }

    /// PUT of JSON.
    pub fn put(&self, below: &str, body: &Value) -> Response {
        self.send(self.request("PUT", below).json(body))
    }

    /// PATCH of JSON.
    pub fn patch(&self, below: &str, body: &Value) -> Response {
        self.send(self.request("PATCH", below).json(body))
    }

    /// DELETE.
    pub fn delete(&self, below: &str) -> Response {
        self.send(self.request("DELETE", below))
    }

    /// A service with one target; its id.
    pub fn service(&self, name: &str, url: &str) -> String {
        let body = json!({ "name": name, "targets": [{ "url": url }] });
        self.post("/services", &body).expect(201).str_at("/id")
    }

    /// A route that is open to everybody; its id.
    pub fn open_route(&self, name: &str, path: &str, service: &str) -> String {
        let body = json!({ "name": name, "match": { "path": path }, "service": service });
        self.post("/routes", &body).expect(201).str_at("/id")
    }

    /// A route that needs a credential; its id.
    pub fn closed_route(&self, name: &str, path: &str, service: &str) -> String {
        let auth = json!({ "required": true, "accept": ["jwt", "key"] });
        let body = json!({ "name": name, "match": { "path": path }, "service": service, "auth": auth });
        self.post("/routes", &body).expect(201).str_at("/id")
    }

    /// A consumer; its id.
    pub fn consumer(&self, name: &str) -> String {
        self.post("/consumers", &json!({ "name": name, "groups": ["partners"] })).expect(201).str_at("/id")
    }

    /// A key of a consumer; its id and itself.
    pub fn consumer_key(&self, consumer: &str) -> (String, String) {
        let answer = self.send(self.request("POST", &format!("/consumers/{consumer}/keys"))).expect(201);
        (answer.str_at("/id"), answer.str_at("/key"))
    }

    /// The newest revision's number.
    pub fn head_seq(&self) -> u64 {
        let newest = self.get("/revisions?limit=1").expect(200).at("/items/0/seq");
        newest.as_u64().unwrap_or_else(|| panic!("a number, not {newest}"))
    }

    /// Waits until some gateway serves the newest revision; its number.
    pub fn wait_acked(&self) -> u64 {
        let seq = self.head_seq();
        wait_until(&format!("revision {seq} is served"), PATIENCE, || {
            let acked = self.get(&format!("/revisions/{seq}")).expect(200).at("/acked");
            acked.as_array().is_some_and(|nodes| !nodes.is_empty())
        });
        seq
    }

    /// The items of a list of this tenant.
    pub fn items(&self, below: &str) -> Vec<Value> {
        let items = self.get(below).expect(200).at("/items");
        items.as_array().unwrap_or_else(|| panic!("a list, not {items}")).clone()
    }

    /// Waits until the request log holds the request with this id, and returns the item.
    pub fn wait_log(&self, request_id: &str) -> Value {
        let query = format!("/logs?requestId={request_id}");
        crate::wait_for("the request is in the log", PATIENCE, || self.items(&query).into_iter().next())
    }
}
