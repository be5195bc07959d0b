//! A tenant of the control plane, over its REST API.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Answer, Connection, Request};

/// A registered account.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    tenant: String,
    token: String,
    /// The key its gateways use.
    pub(crate) api_key: String,
}

impl Session {
    pub(crate) fn register(control: SocketAddr) -> Result<Self> {
        let mut connection = Connection::open(control)?;
        let account = json!({"name": "Bench", "email": "bench@example.org", "password": "a long password 4 benches"});
        let body = account.to_string();
        let request =
            Request { method: "POST", path: "/api/v1/auth/register", bearer: None, accepts: None, body: &body };
        let answer = read(&connection.send(request)?, 201)?;
        let field = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .with_context(|| format!("no {name} in the answer"))
        };
        Ok(Self { connection, tenant: field("tenantId")?, token: field("token")?, api_key: field("gatewayApiKey")? })
    }

    /// A service and a route with this path; the route's id.
    pub(crate) fn create_config(&mut self, upstream: SocketAddr, path: &str) -> Result<String> {
        let service = json!({"name": "origin", "targets": [{"url": format!("http://{upstream}")}]});
        self.send("POST", "services", &service, 201)?;
        let route = json!({"name": "moving", "match": {"path": path}, "service": "origin"});
        let created = self.send("POST", "routes", &route, 201)?;
        created.get("id").and_then(Value::as_str).map(str::to_owned).context("no id in the answer")
    }

    /// The measured edit.
    pub(crate) fn move_route(&mut self, route: &str, path: &str) -> Result<()> {
        self.send("PATCH", &format!("routes/{route}"), &json!({"match": {"path": path}}), 200).map(drop)
    }

    fn send(&mut self, method: &str, path: &str, body: &Value, expected: u16) -> Result<Value> {
        let path = format!("/api/v1/tenants/{}/{path}", self.tenant);
        let body = body.to_string();
        let request = Request { method, path: &path, bearer: Some(&self.token), accepts: None, body: &body };
        read(&self.connection.send(request)?, expected)
    }
}

fn read(answer: &Answer, expected: u16) -> Result<Value> {
    ensure!(answer.status == expected, "the control plane answers {}: {}", answer.status, answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}
