//! What becomes of a request that a route has taken, as requests use it.

use std::sync::Arc;
use std::time::Duration;

use novagate_routing::{
    Compression, Decompression, Forward, ForwardHost, ForwardPath, ForwardTo, HashOn, Mirror, Redirect, RouteAction,
};

use super::balance::Affinity;
use super::service::{CompiledService, ServiceIndex};

/// What becomes of a request.
#[derive(Debug)]
pub enum CompiledAction {
    /// It goes to a service.
    Forward(CompiledForward),
    /// The client is told to go elsewhere.
    Redirect(Box<Redirect>),
}

/// How requests go to a service.
#[derive(Debug)]
pub struct CompiledForward {
    /// The only service, or the first of several.
    first: ServiceIndex,
    split: Option<Box<CompiledSplit>>,
    /// Which path it gets.
    pub path: ForwardPath,
    /// Which host it is told.
    pub host: ForwardHost,
    /// In place of the service's.
    pub timeout: Option<Duration>,
    /// In place of the service's.
    pub total_timeout: Option<Duration>,
    /// Bytes of a request's body; `None`: the node's bound alone.
    pub max_body: Option<u64>,
    /// Who gets copies of requests.
    pub mirror: Option<CompiledMirror>,
    /// Whether the service is told the certificate that the client has shown.
    pub client_cert: bool,
    /// How responses are compressed.
    pub compression: Option<Arc<Compression>>,
    /// How bodies of requests are decoded.
    pub decompression: Option<Box<Decompression>>,
}

/// A service that gets copies of requests.
#[derive(Debug, Clone, Copy)]
pub struct CompiledMirror {
    /// Which one.
    pub service: ServiceIndex,
    /// How many of 100 requests are copied.
    pub percent: u8,
    /// Bytes of a body that is copied.
    pub max_body: u32,
}

#[derive(Debug)]
struct CompiledSplit {
    on: HashOn,
    /// Up to which point, not included, requests go to the service; ascending.
    shares: Box<[(u32, ServiceIndex)]>,
}

impl CompiledAction {
    /// `None` when it names a service that `find` does not know, or none that gets a request.
    pub(crate) fn new<'s>(
        action: &RouteAction,
        find: impl Fn(&novagate_kernel::Name) -> Option<&'s Arc<CompiledService>>,
    ) -> Option<Self> {
        let forward = match action {
            RouteAction::Forward(forward) => forward,
            RouteAction::Redirect(redirect) => return Some(Self::Redirect(redirect.clone())),
        };
        let (first, split) = match &forward.to {
            ForwardTo::Service(service) => (find(service)?.index, None),
            ForwardTo::Split(split) => {
                let mut end = 0;
                let mut shares = Vec::with_capacity(split.services.len());
                for each in split.services.iter().filter(|each| each.weight > 0) {
                    end += u32::from(each.weight);
                    shares.push((end, find(&each.service)?.index));
                }
                let first = shares.first()?.1;
                (first, Some(Box::new(CompiledSplit { on: split.on.clone(), shares: shares.into() })))
            }
        };
        let mirror = match &forward.mirror {
            Some(mirror) => {
                let Mirror { percent, max_body, .. } = *mirror;
                Some(CompiledMirror { service: find(&mirror.service)?.index, percent, max_body })
            }
            None => None,
        };
        let Forward { path, host, timeout, total_timeout, max_body, client_cert, compression, decompression, .. } =
            Forward::clone(forward);
        Some(Self::Forward(CompiledForward {
            first,
            split,
            path,
            host,
            timeout,
            total_timeout,
            max_body,
            mirror,
            client_cert,
            compression: compression.map(Arc::from),
            decompression: decompression.map(Box::new),
        }))
    }

    /// The service that a request goes to as long as nothing is known about it; `None`: to none.
    pub const fn first_service(&self) -> Option<ServiceIndex> {
        match self {
            Self::Forward(forward) => Some(forward.first),
            Self::Redirect(_) => None,
        }
    }
}

impl CompiledForward {
    /// What divides its requests between several services.
    pub fn split_on(&self) -> Option<&HashOn> {
        self.split.as_ref().map(|split| &split.on)
    }

    /// The service for requests that have this in common: the same on every gateway, and under every route with the same
    /// shares. A share that grows at the end of the list takes from the others and loses nobody.
    pub fn service(&self, affinity: impl FnOnce(&HashOn) -> Affinity) -> ServiceIndex {
        let Some(split) = &self.split else { return self.first };
        let total = split.shares.last().map_or(1, |&(end, _)| end);
        let point = affinity(&split.on).point(total);
        split.shares.iter().find(|&&(end, _)| point < end).map_or(self.first, |&(_, service)| service)
    }
}
