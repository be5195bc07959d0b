//! What becomes of a request that a route has taken, as data.
//!
//! Values are plain data; whoever builds them from outside text (`adapters/documents`) has checked each field against the
//! rule beside it. Not here: carrying it out (`adapters/http-edge`).

use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::Name;

use crate::{Compression, Decompression, HashOn, HostTemplate, PathTemplate, Unwritable};

/// Most services that one route divides its requests between.
pub const MAX_SPLIT: usize = 16;

/// What becomes of a request that a route has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteAction {
    /// It goes to a service.
    Forward(Box<Forward>),
    /// The client is told to go elsewhere.
    Redirect(Box<Redirect>),
}

/// How requests go to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Which service.
    pub to: ForwardTo,
    /// Which path it gets.
    pub path: ForwardPath,
    /// Which host it is told.
    pub host: ForwardHost,
    /// In place of the service's `timeout`; 1 ms to 1 h.
    pub timeout: Option<Duration>,
    /// In place of the service's `total_timeout`; 1 ms to 24 h.
    pub total_timeout: Option<Duration>,
    /// Bytes of a request's body, below the node's own bound; at most 1 TiB.
    pub max_body: Option<u64>,
    /// Who gets copies of requests.
    pub mirror: Option<Mirror>,
    /// Whether the service is told the certificate that the client has shown.
    pub client_cert: bool,
    /// How responses are compressed; `None`: they are not.
    pub compression: Option<Box<Compression>>,
    /// How bodies of requests are decoded; `None`: they are not.
    pub decompression: Option<Decompression>,
}

/// A second service that gets copies of requests and whose answers nobody reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its name.
    pub service: Name,
    /// How many of 100 requests are copied; 1 to 100.
    pub percent: u8,
    /// Bytes of a body that is copied, as it is sent; at most [`Mirror::MAX_BODY`].
    pub max_body: u32,
}

impl Mirror {
    /// Bytes of a body that is copied, unless said otherwise.
    pub const USUAL_BODY: u32 = 64 * 1024;
    /// The longest body that can be copied.
    pub const MAX_BODY: u32 = 1024 * 1024;
}

/// Which service a request goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardTo {
    /// The one with this name.
    Service(Name),
    /// One of several.
    Split(Split),
}

/// Requests divided between services, those that belong together to the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What belongs together; a request without it goes by its client's address.
    pub on: HashOn,
    /// 2 to [`MAX_SPLIT`]; whoever raises the share of the last one keeps those that it has.
    pub services: Vec<WeightedService>,
}

/// A service and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedService {
    /// Its name.
    pub service: Name,
    /// Share relative to the others; 0 to 1000, not 0 for all.
    pub weight: u16,
}

/// The path that a service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// The one that was matched.
    Matched,
    /// Without the literal prefix of a `/a/*` pattern.
    Stripped,
    /// Another one.
    Rewritten(PathTemplate),
}

/// The host that a service is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardHost {
    /// Its target's.
    Target,
    /// The client's.
    Client,
    /// This one: `host` or `host:port`.
    Fixed(Arc<str>),
    /// One that is put together for each request.
    Written(Box<HostTemplate>),
}

/// Where clients are told to go (RFC 9110, section 15.4). What is not given stays as in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The status.
    pub status: RedirectStatus,
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// A host, without port.
    pub host: Option<Arc<str>>,
    /// A port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<PathTemplate>,
    /// Whether the query is dropped.
    pub drop_query: bool,
}

/// The status of a redirection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedirectStatus {
    /// 301; clients may make a GET of a POST.
    MovedPermanently,
    /// 302; clients may make a GET of a POST.
    #[default]
    Found,
    /// 303: a GET, whatever the method was.
    SeeOther,
    /// 307, with the same method.
    Temporary,
    /// 308, with the same method.
    Permanent,
}

/// A scheme of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS; port 80.
    Http,
    /// With TLS; port 443.
    Https,
}

/// The origin that a request was sent to, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestOrigin<'a> {
    /// How the client has spoken.
    pub scheme: Scheme,
    /// The `Host` it has named, with its port; empty when it named none.
    pub host: &'a str,
}

impl RouteAction {
    /// The services that it names, those that answer first.
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        let forward = match self {
            Self::Forward(forward) => Some(&**forward),
            Self::Redirect(_) => None,
        };
        let (one, several) = match forward.map(|forward| &forward.to) {
            Some(ForwardTo::Service(service)) => (Some(service), &[][..]),
            Some(ForwardTo::Split(split)) => (None, &*split.services),
            None => (None, &[][..]),
        };
        let mirror = forward.and_then(|forward| forward.mirror.as_ref()).map(|mirror| &mirror.service);
        one.into_iter().chain(several.iter().map(|each| &each.service)).chain(mirror)
    }

    /// The same with another name for a service.
    #[must_use]
    pub fn renamed(mut self, service: &Name, name: &Name) -> Self {
        if let Self::Forward(forward) = &mut self {
            if let Some(mirror) = forward.mirror.as_mut().filter(|mirror| mirror.service == *service) {
                mirror.service.clone_from(name);
            }
            match &mut forward.to {
                ForwardTo::Service(known) if known == service => known.clone_from(name),
                ForwardTo::Service(_) => {}
                ForwardTo::Split(split) => {
                    for each in split.services.iter_mut().filter(|each| each.service == *service) {
                        each.service.clone_from(name);
                    }
                }
            }
        }
        self
    }
}

impl From<Forward> for RouteAction {
    fn from(forward: Forward) -> Self {
        Self::Forward(Box::new(forward))
    }
}

impl From<Redirect> for RouteAction {
    fn from(redirect: Redirect) -> Self {
        Self::Redirect(Box::new(redirect))
    }
}

impl Forward {
    /// To one service, everything else as it came.
    pub const fn to(service: Name) -> Self {
        Self {
            to: ForwardTo::Service(service),
            path: ForwardPath::Matched,
            host: ForwardHost::Target,
            timeout: None,
            total_timeout: None,
            max_body: None,
            mirror: None,
            client_cert: false,
            compression: None,
            decompression: None,
        }
    }
}

impl RedirectStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::MovedPermanently, Self::Found, Self::SeeOther, Self::Temporary, Self::Permanent];

    /// The number.
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Redirect {
    /// Writes the value of `Location` for a request to `path` with `query` (with its question mark). Without any host it is
    /// relative (RFC 9110, section 10.2.2). A port of the request stays as long as scheme and host do.
    pub fn write(
        &self,
        origin: RequestOrigin<'_>,
        path: &str,
        query: &str,
        out: &mut impl FnMut(&str),
    ) -> Result<(), Unwritable> {
        let (name, port) = split_port(origin.host);
        let host = self.host.as_deref().unwrap_or(name);
        if !host.is_empty() {
            let scheme = self.scheme.unwrap_or(origin.scheme);
            for part in [scheme.as_str(), "://", host] {
                out(part);
            }
            let stays = self.host.is_none() && scheme == origin.scheme;
            match (self.port, port) {
                (Some(80), _) if scheme == Scheme::Http => {}
                (Some(443), _) if scheme == Scheme::Https => {}
                (Some(port), _) => {
                    out(":");
                    out(&port.to_string());
                }
                (None, Some(port)) if stays => {
                    out(":");
                    out(port);
                }
                (None, _) => {}
            }
        }
        match &self.path {
            Some(template) => template.write(path, out)?,
            None => out(path),
        }
        if !self.drop_query {
            out(query);
        }
        Ok(())
    }
}

/// A host and its port; an IPv6 address keeps its brackets.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let behind_address = host.rfind(']').map_or(0, |at| at + 1);
    match host.get(behind_address..).and_then(|rest| rest.rfind(':')) {
        Some(at) => (
            host.get(..behind_address + at).unwrap_or_default(),
            host.get(behind_address + at + 1..).filter(|port| !port.is_empty()),
        ),
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PathPattern, RouteMatch};

    fn location(redirect: &Redirect, scheme: Scheme, host: &str, path: &str) -> String {
        let mut out = String::new();
        redirect.write(RequestOrigin { scheme, host }, path, "?q=1", &mut |text| out.push_str(text)).unwrap();
        out
    }

    fn redirect() -> Redirect {
        let status = RedirectStatus::Found;
        Redirect { status, scheme: None, host: None, port: None, path: None, drop_query: false }
    }

    #[test]
    fn what_is_not_given_stays_as_in_the_request() {
        let https = Redirect { scheme: Some(Scheme::Https), ..redirect() };
        assert_eq!(location(&https, Scheme::Http, "a.example", "/x"), "https://a.example/x?q=1");
        assert_eq!(location(&https, Scheme::Http, "a.example:8080", "/x"), "https://a.example/x?q=1");
        assert_eq!(location(&https, Scheme::Https, "[::1]:8443", "/x"), "https://[::1]:8443/x?q=1");
        let host = Redirect { host: Some("b.example".into()), drop_query: true, ..redirect() };
        assert_eq!(location(&host, Scheme::Http, "a.example:8080", "/x"), "http://b.example/x");
        let port = Redirect { port: Some(8443), ..https.clone() };
        assert_eq!(location(&port, Scheme::Http, "a.example:8080", "/x"), "https://a.example:8443/x?q=1");
        let default_port = Redirect { port: Some(443), ..https };
        assert_eq!(location(&default_port, Scheme::Http, "a.example", "/x"), "https://a.example/x?q=1");
    }

    #[test]
    fn a_path_is_put_together_and_without_a_host_the_answer_is_relative() {
        let matcher = RouteMatch::on(PathPattern::parse("/old/{id}/*").unwrap());
        let path = Some(PathTemplate::parse("/new/{id}/*", &matcher).unwrap());
        let moved = Redirect { path, ..redirect() };
        assert_eq!(location(&moved, Scheme::Http, "a.example:80", "/old/7/x"), "http://a.example:80/new/7/x?q=1");
        assert_eq!(location(&moved, Scheme::Http, "", "/old/7"), "/new/7?q=1");
    }

    #[test]
    fn a_service_is_renamed_wherever_it_is_named() {
        let name = |text| Name::parse(text).unwrap();
        let weighted = |text| WeightedService { service: name(text), weight: 1 };
        let services = vec![weighted("old"), weighted("other")];
        let split = Split { on: HashOn::Consumer, services };
        let forward = Forward { to: ForwardTo::Split(split), ..Forward::to(name("old")) };
        let mirror = Some(Mirror { service: name("old"), percent: 1, max_body: 0 });
        for (action, expected) in [
            (RouteAction::from(Forward { mirror, ..Forward::to(name("other")) }), vec!["other", "new"]),
            (RouteAction::from(Forward::to(name("old"))), vec!["new"]),
            (RouteAction::from(Forward::to(name("other"))), vec!["other"]),
            (RouteAction::from(forward), vec!["new", "other"]),
            (RouteAction::from(redirect()), vec![]),
        ] {
            let renamed = action.renamed(&name("old"), &name("new"));
            assert_eq!(renamed.services().map(Name::as_str).collect::<Vec<_>>(), expected);
        }
    }
}
