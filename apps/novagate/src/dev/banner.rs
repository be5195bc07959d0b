//! What `dev` says once everything is ready.

use std::fmt::Write as _;

use serde_json::json;

use super::{DevArguments, Print, stack::Stack};

/// Everything that a newcomer needs next.
pub(crate) struct Banner<'a> {
    pub(crate) arguments: &'a DevArguments,
    pub(crate) stack: &'a Stack,
}

impl Banner<'_> {
    pub(crate) fn render(&self) -> String {
        match self.arguments.print {
            Print::Json => self.json(),
            Print::Text => self.text(),
        }
    }

    /// What is shown once is null at later starts.
    fn json(&self) -> String {
        let stack = self.stack;
        let shown = stack.shown.as_ref();
        json!({
            "controlUrl": self.control_url(),
            "gatewayUrl": self.gateway_url(),
            "gatewayAdminUrl": format!("http://{}", stack.gateway.admin_addr),
            "upstreamUrl": stack.upstream.map(|addr| format!("http://{addr}")),
            "tenantId": stack.tenant.id,
            "email": stack.tenant.email,
            "password": shown.map(|shown| &shown.password),
            "token": shown.map(|shown| &shown.token),
            "gatewayApiKey": shown.map(|shown| &shown.gateway_api_key),
            "consumerKey": shown.and_then(|shown| shown.consumer_key.as_ref()),
            "consumerJwt": stack.consumer_jwt,
        })
        .to_string()
    }

    fn text(&self) -> String {
        let stack = self.stack;
        let mut text = String::from("NovaGate is ready.\n\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  control plane    {}   (API at /docs)", self.control_url());
        let _ = writeln!(text, "  gateway          {}", self.gateway_url());
        let _ = writeln!(
            text,
            "  gateway admin    http://{}   (/health /ready /metrics /status)",
            stack.gateway.admin_addr
        );
        if let Some(upstream) = stack.upstream {
            let _ = writeln!(text, "  demo upstream    http://{upstream}");
        }
        let _ = writeln!(text, "  data             {}\n", self.arguments.data_dir.display());
        self.credentials(&mut text);
        if stack.upstream.is_some() {
            self.curl_lines(&mut text);
        }
        text.push_str("\nRequests are logged below, one JSON object per line. Ctrl-C stops.");
        text
    }

    fn credentials(&self, text: &mut String) {
        let Some(shown) = &self.stack.shown else {
            let _ = writeln!(
                text,
                "The credentials of {} were shown at the first start. To start over, remove {}.\n",
                self.stack.tenant.email,
                self.arguments.data_dir.display()
            );
            return;
        };
        text.push_str("Shown this once:\n\n");
        let _ = writeln!(text, "  tenant           {}", self.stack.tenant.id);
        let _ = writeln!(text, "  e-mail           {}", self.stack.tenant.email);
        let _ = writeln!(text, "  password         {}", shown.password);
        let _ = writeln!(text, "  API token        {}", shown.token);
        let _ = writeln!(text, "  gateway key      {}", shown.gateway_api_key);
        if let Some(key) = &shown.consumer_key {
            let _ = writeln!(text, "  consumer key     {key}");
        }
        text.push('\n');
    }

    fn curl_lines(&self, text: &mut String) {
        let gateway = self.gateway_url();
        text.push_str("Try:\n\n");
        let _ = writeln!(text, "  curl -i {gateway}/hello");
        if let Some(jwt) = &self.stack.consumer_jwt {
            let _ = writeln!(text, "  curl -i -H 'Authorization: Bearer {jwt}' {gateway}/users/42");
        }
        match self.stack.shown.as_ref().and_then(|shown| shown.consumer_key.as_ref()) {
            Some(key) => {
                let _ = writeln!(text, "  curl -i -H 'X-API-Key: {key}' {gateway}/users/42");
            }
            None => {
                let _ = writeln!(text, "  curl -i {gateway}/users/42   # 401: this route needs a credential");
            }
        }
    }

    fn control_url(&self) -> String {
        format!("http://{}", self.stack.control.addr)
    }

    fn gateway_url(&self) -> String {
        format!("http://{}", self.stack.gateway.addr)
    }
}
