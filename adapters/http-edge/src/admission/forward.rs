//! Where an admitted request goes: service, target, mirror and the head for them, or the place that the client is told.
//!
//! Always: nothing here refuses for whom a request is from; a service without a target that takes traffic does, and a path
//! of which the route's templates make no path or host.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use novagate_framing::BodyKind;
use novagate_kernel::ErrorCode;
use novagate_policies::{Affinity, CompiledForward, CompiledMirror, CompiledRoute, Grounds, Identity, Presented};
use novagate_routing::{
    ForwardHost, ForwardPath, Found, HashOn, LoadBalancing, Protocol, Redirect, RequestOrigin, Scheme,
};

use super::{Admission, Asked, BAD_TARGET, Drafts, Passage, Request};
use crate::content::{Compressing, Decoding, OFFERED, coding_of};
use crate::generation::Generation;
use crate::mirror::Copies;
use crate::observe::cells::add;
use crate::refusal::Refusal;
use crate::wire::names::{FieldName, options};
use crate::wire::request::{BodyForm, Forward, KeyFields};
use crate::wire::response::push_line;
use crate::wire::websocket;

const UNKNOWN_CODING: Refusal = Refusal {
    code: ErrorCode::UnsupportedMediaType,
    message: "the body is in a content coding that is not decoded here",
};

/// What goes on of a client's `TE`.
const TE: &[u8] = b"te: trailers\r\n";

impl Admission<'_> {
    /// Chooses service and target and writes the head for it.
    pub(super) fn forward(
        &self,
        action: &CompiledForward,
        found: &Found<'_, '_, Arc<CompiledRoute>>,
        asked: Asked<'_>,
        generation: &Generation,
        request: &mut Request,
        drafts: &mut Drafts,
    ) -> Result<Passage, Refusal> {
        let (route, identity) = (&**found.value(), asked.identity);
        let index = action.service(|on| self.affinity_or_address(on, &identity));
        request.service = index.get();
        let (service, upstream) = generation.service(index).ok_or(Refusal::of(ErrorCode::Internal))?;
        let board = &self.worker.shared.board;
        let affinity = match &service.load_balancing {
            LoadBalancing::ConsistentHash(on) => self.affinity(on, &identity),
            LoadBalancing::RoundRobin | LoadBalancing::LeastConnections | LoadBalancing::Latency => None,
        };
        let candidate = upstream.pick(service, affinity, || board.now_ms(), &[]);
        let (candidate, target) = candidate
            .and_then(|at| Some((at, upstream.targets.get(at)?)))
            .ok_or(Refusal::of(ErrorCode::NoHealthyTargets))?;
        let path = told_path(action, found)?;
        let own_host = told_host(action, found, asked.host)?;
        let own_host = own_host.as_deref();
        let decoding = self.decoding(action, &mut drafts.extra)?;
        let reads = route.auth.reads_credentials();
        let offers_websocket = self.info.upgrade && websocket::is_offered(self.head, self.info, self.fields);
        let forward = Forward {
            method: asked.method,
            path: path.as_bytes(),
            query: asked.query,
            fields: self.fields,
            body: match self.info.body {
                _ if decoding.is_some() => BodyForm::Decoded,
                BodyKind::Chunked => BodyForm::Chunked,
                BodyKind::None | BodyKind::Length(_) => BodyForm::AsItIs,
            },
            authority: own_host.unwrap_or(&target.target.authority),
            host: asked.host,
            sender: self.peer.sender(),
            request_id_line: request.tag.line(),
            identity,
            client_cert: self.peer.certificate.as_deref().filter(|_| action.client_cert).map(|shown| &*shown.field),
            keys: if reads { KeyFields::Ours } else { KeyFields::OnlyRecognised },
            offers_websocket,
            te: if service.protocol == Protocol::Http2 && self.takes_trailers() { TE } else { b"" },
        };
        let written = forward.write(&mut drafts.head);
        Ok(Passage {
            service: index,
            candidate,
            affinity,
            authority: own_host.is_none().then_some(written),
            timeout: action.timeout.or(service.timeout),
            total_timeout: action.total_timeout.or(service.total_timeout),
            max_body: action.max_body,
            mirror: action.mirror.filter(|_| !offers_websocket).and_then(|mirror| self.mirror(mirror, generation)),
            websocket: offers_websocket.then(|| Box::new(self.grounds(route, asked.presented, generation, request))),
            compression: action.compression.as_ref().map(|rule| Compressing::new(rule, self.fields)),
            decoding,
        })
    }

    /// How the body is decoded, if it is in a coding; one that is not known is refused.
    fn decoding(&self, action: &CompiledForward, extra: &mut Vec<u8>) -> Result<Option<Decoding>, Refusal> {
        let Some(rule) = action.decompression.as_deref() else { return Ok(None) };
        if matches!(self.info.body, BodyKind::None | BodyKind::Length(0)) {
            return Ok(None);
        }
        let Ok(coding) = coding_of(self.fields.named(b"content-encoding")) else {
            push_line(extra, b"accept-encoding", OFFERED);
            return Err(UNKNOWN_CODING);
        };
        let max_bytes = rule.max_bytes.or(action.max_body).or(self.worker.shared.settings.framing.max_body_bytes());
        Ok(coding.map(|coding| Decoding { coding, max_bytes, max_ratio: rule.max_ratio }))
    }

    /// What a WebSocket would rest on.
    fn grounds(
        &self,
        route: &CompiledRoute,
        presented: Presented<'_>,
        generation: &Generation,
        request: &Request,
    ) -> Grounds {
        let decides = request.consumer.is_some() && matches!(presented, Presented::Nothing);
        let shown = self.certificate(route).filter(|_| decides);
        let name = shown.and_then(|facts| generation.live.compiled.deciding_name(facts));
        Grounds::new(route.id, request.consumer, presented).by_certificate(name)
    }

    fn takes_trailers(&self) -> bool {
        self.fields.named(b"te").flat_map(options).any(|option| option.eq_ignore_ascii_case(b"trailers"))
    }

    /// The target of a copy, if the request in hand is copied. Who has no target up gets none.
    fn mirror(&self, mirror: CompiledMirror, generation: &Generation) -> Option<Box<Copies>> {
        let (service, upstream) = generation.service(mirror.service)?;
        if !upstream.takes_copy(mirror.percent) {
            return None;
        }
        let limit = service.total_timeout.or(service.timeout).unwrap_or(self.worker.shared.settings.timeouts.proxy);
        let candidate = upstream.pick(service, None, || self.worker.shared.board.now_ms(), &[]);
        let Some(candidate) = candidate.and_then(|at| upstream.targets.get(at)) else {
            add(&self.worker.cells.mirrors_left_out, 1);
            return None;
        };
        let target = Rc::clone(&candidate.target);
        let max_body = usize::try_from(mirror.max_body).unwrap_or_default();
        let (protocol, bound) = (service.protocol, upstream.bound(service));
        Some(Box::new(Copies { target, protocol, limit, bound, max_body }))
    }

    /// Writes the line that tells the client where to go.
    pub(super) fn redirect(
        &self,
        redirect: &Redirect,
        path: &str,
        (host, query): (&[u8], &[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        // Both are visible ASCII, or the framing would have refused them.
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let told = self.fields.single(FieldName::ForwardedProto).filter(|_| self.peer.is_trusted);
        let is_secure = match told {
            Some(scheme) => scheme.eq_ignore_ascii_case(b"https"),
            None => self.peer.is_secure,
        };
        let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
        out.clear();
        out.extend_from_slice(b"location: ");
        let origin = RequestOrigin { scheme, host: text(host) };
        let written = redirect.write(origin, path, text(query), &mut |part| out.extend_from_slice(part.as_bytes()));
        out.extend_from_slice(b"\r\n");
        written.map_err(|_fault| BAD_TARGET)
    }

    fn affinity(&self, on: &HashOn, identity: &Identity<'_>) -> Option<Affinity> {
        match on {
            HashOn::Consumer => identity.consumer().map(|consumer| Affinity::of(consumer.id.as_uuid().as_bytes())),
            HashOn::Header(name) => self.fields.named(name.as_bytes()).next().map(Affinity::of),
            HashOn::Cookie(name) => self.fields.cookie(name.as_bytes()).map(Affinity::of),
        }
    }

    /// What has nothing in common with other requests has its client's address.
    fn affinity_or_address(&self, on: &HashOn, identity: &Identity<'_>) -> Affinity {
        self.affinity(on, identity).unwrap_or_else(|| {
            match self.peer.client_ip(self.fields, &self.worker.shared.settings.trusted_proxies) {
                IpAddr::V4(address) => Affinity::of(&address.octets()),
                IpAddr::V6(address) => Affinity::of(&address.octets()),
            }
        })
    }
}

/// The path that the service gets.
fn told_path<'f>(
    action: &CompiledForward,
    found: &'f Found<'_, '_, Arc<CompiledRoute>>,
) -> Result<Cow<'f, str>, Refusal> {
    Ok(match &action.path {
        ForwardPath::Matched => Cow::Borrowed(found.path()),
        ForwardPath::Stripped => Cow::Borrowed(found.stripped_path()),
        ForwardPath::Rewritten(template) => Cow::Owned(found.rewritten_path(template).map_err(|_fault| BAD_TARGET)?),
    })
}

/// The host that the service is told instead of its target's.
fn told_host<'f>(
    action: &'f CompiledForward,
    found: &Found<'_, '_, Arc<CompiledRoute>>,
    asked: &'f [u8],
) -> Result<Option<Cow<'f, [u8]>>, Refusal> {
    Ok(match &action.host {
        ForwardHost::Target => None,
        ForwardHost::Client => Some(asked).filter(|host| !host.is_empty()).map(Cow::Borrowed),
        ForwardHost::Fixed(host) => Some(Cow::Borrowed(host.as_bytes())),
        ForwardHost::Written(template) => {
            let host = found.rewritten_host(template).map_err(|_fault| BAD_TARGET)?;
            Some(Cow::Owned(host.into_bytes()))
        }
    })
}
