//! The usual scene: a control plane, a tenant, an upstream behind two routes, and a gateway that serves them.

use serde_json::json;

use crate::{Api, Control, ControlOptions, Folder, Gateway, GatewayOptions, Upstream};

/// A control plane, a tenant `api`, a gateway, and an upstream `users` behind `/open/*` (for everybody) and `/closed/*`.
/// Fields end in this order: the gateway first.
pub struct World {
    /// The gateway.
    pub gateway: Gateway,
    /// The tenant.
    pub api: Api,
    /// The control plane.
    pub control: Control,
    /// The upstream of both routes.
    pub upstream: Upstream,
}

/// A gateway with the same routes from a file, without control plane.
pub struct FileWorld {
    /// The gateway.
    pub gateway: Gateway,
    /// The upstream of both routes.
    pub upstream: Upstream,
    /// Where the configuration is: `config.yaml`.
    pub folder: Folder,
}

impl FileWorld {
    /// With more settings of the gateway.
    pub fn start(environment: Vec<(&'static str, String)>) -> Self {
        let upstream = Upstream::named("users");
        let config = json!({
            "services": [{ "name": "users", "targets": [{ "url": upstream.url() }] }],
            "routes": [
                { "name": "open", "match": { "path": "/open/*" }, "service": "users" },
                { "name": "closed", "match": { "path": "/closed/*" }, "service": "users", "auth": { "required": true } },
            ],
        });
        let (gateway, folder) = Gateway::of_file(&config, environment);
        Self { gateway, upstream, folder }
    }
}

impl World {
    /// The usual one.
    pub fn start() -> Self {
        Self::with(&ControlOptions::default(), Upstream::named("users"), Vec::new())
    }

    /// With another upstream and more settings of the gateway.
    pub fn with(
        options: &ControlOptions<'_>,
        upstream: Upstream,
        gateway_environment: Vec<(&'static str, String)>,
    ) -> Self {
        let control = Control::with(options);
        let api = Api::register(&control);
        Self::around(control, api, upstream, gateway_environment)
    }

    /// With a control plane and tenant that are there already.
    pub fn around(
        control: Control,
        api: Api,
        upstream: Upstream,
        gateway_environment: Vec<(&'static str, String)>,
    ) -> Self {
        let url = control.sync_url();
        Self::dialling(&url, control, api, upstream, gateway_environment)
    }

    /// With a gateway that dials `url`, which leads to the control plane.
    pub fn dialling(
        url: &str,
        control: Control,
        api: Api,
        upstream: Upstream,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        api.service("users", &upstream.url());
        api.open_route("open", "/open/*", "users");
        api.closed_route("closed", "/closed/*", "users");
        let key = api.account.gateway_key.clone();
        let gateway = Gateway::start(&GatewayOptions { control_url: url.to_owned(), key, environment, socket: None });
        gateway.wait_status("/open/first", 200);
        Self { gateway, api, control, upstream }
    }
}
