//! What becomes of a request, decided from its head: a refusal, or where it goes and as whom.
//!
//! Always: synchronous; complete before a byte goes upstream, but for a count that others make (`counting`); nothing that a
//! client sent is believed that was not proven here. Not here: matching and rules themselves (`novagate_routing`, `novagate_policies`), the exchange.

mod forward;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use novagate_framing::{BodyKind, HeadInfo, TargetForm};
use novagate_kernel::{ConsumerId, ErrorCode, Timestamp};
use novagate_policies::{
    Affinity, Bucket, CertificateFacts, ClientKey, CompiledAction, CompiledForward, CompiledRoute, Credential, Facts,
    Grounds, Identity, LastKey, Presented, ServiceIndex, TokenFacts, TokenFault, Verdict,
};
use novagate_ports_edge::LiveConfig;
use novagate_records::{MethodLabel, NO_INDEX};
use novagate_routing::{Lookup, RedirectStatus, RequestView, normalise_bytes, without_port};

use crate::content::{Compressing, Decoding};
use crate::counting::{Counters, Uncounted, tell};
use crate::generation::Generation;
use crate::mirror::Copies;
use crate::observe::cells::add;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::request_id::RequestTag;
use crate::wire::fields::{Fields, scan};
use crate::wire::names::FieldName;
use crate::wire::request::split_target;
use crate::wire::response::push_line;
use crate::worker::Worker;

const SHED: Refusal = Refusal { code: ErrorCode::Overloaded, message: "the gateway cannot keep up with its requests" };
const BAD_TARGET: Refusal = Refusal { code: ErrorCode::BadRequest, message: "the request path is not acceptable" };

/// What is known about a request from its head; kept until its record is written.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) tag: RequestTag,
    pub(crate) at: Timestamp,
    pub(crate) method: MethodLabel,
    pub(crate) generation: Option<Rc<Generation>>,
    /// Index of its route, or [`NO_INDEX`].
    pub(crate) route: u32,
    /// Index of the service it goes to, or [`NO_INDEX`].
    pub(crate) service: u32,
    pub(crate) consumer: Option<ConsumerId>,
}

/// A request with what becomes of it.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) request: Request,
    pub(crate) outcome: Result<Admitted, Refusal>,
}

/// What becomes of a request that was admitted.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It goes to a service.
    Forward(Passage),
    /// The client is told to go elsewhere; the draft of the head has the place.
    Redirect(RedirectStatus),
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) service: ServiceIndex,
    pub(crate) candidate: usize,
    /// What it has in common with the requests that go to the same target.
    pub(crate) affinity: Option<Affinity>,
    /// Where the target's authority stands in the head that was written; `None`: the head names another host.
    pub(crate) authority: Option<Range<usize>>,
    /// Until the response head, as route or service say.
    pub(crate) timeout: Option<Duration>,
    /// For the whole exchange.
    pub(crate) total_timeout: Option<Duration>,
    /// Bytes of a chunked body.
    pub(crate) max_body: Option<u64>,
    /// The target of a copy, and the limit for it.
    pub(crate) mirror: Option<Box<Copies>>,
    /// It offers to go on as a WebSocket: what that would rest on.
    pub(crate) websocket: Option<Box<Grounds>>,
    /// How its response may be compressed.
    pub(crate) compression: Option<Compressing>,
    /// How its body is decoded.
    pub(crate) decoding: Option<Decoding>,
}

/// Room of a connection that the decision writes into.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// The head for the upstream, or the `Location` for the client.
    pub(crate) head: Vec<u8>,
    /// Lines for the response, whoever gives it.
    pub(crate) extra: Vec<u8>,
    /// Of the client's bucket and the route's.
    last_keys: [LastKey; 2],
    /// The request may go on once others have counted it.
    pub(crate) uncounted: Option<Uncounted>,
}

/// One decision in the making.
struct Admission<'a> {
    worker: &'a Worker,
    peer: &'a Peer,
    head: &'a [u8],
    info: &'a HeadInfo,
    fields: Fields<'a>,
}

/// What of a request is forwarded or told again.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    method: &'a [u8],
    host: &'a [u8],
    query: &'a [u8],
    presented: Presented<'a>,
    identity: Identity<'a>,
}

/// What conditions of routes are asked of.
struct View<'a> {
    fields: Fields<'a>,
    query: &'a [u8],
}

impl RequestView for View<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.named(name.as_bytes()).next()
    }

    fn query(&self) -> &[u8] {
        self.query
    }
}

/// Decides about a valid head. Apart from its caller, whose code is long enough.
#[inline(never)]
pub(crate) fn decide(worker: &Worker, peer: &Peer, head: &[u8], info: &HeadInfo, drafts: &mut Drafts) -> Decided {
    drafts.extra.clear();
    drafts.uncounted = None;
    let mut list = worker.fields.borrow_mut();
    // Behind the target: a blank, the version, CRLF.
    scan(head, info.target.start() + info.target.len() + 11, &mut list);
    let fields = Fields::new(head, &list);
    let mut request = Request {
        tag: tag(worker, fields),
        at: worker.shared.clock.now(),
        method: label(info.method.of(head)),
        generation: worker.generation(),
        route: NO_INDEX,
        service: NO_INDEX,
        consumer: None,
    };
    let Some(generation) = request.generation.clone() else {
        return Decided { request, outcome: Err(Refusal::of(ErrorCode::NotReady)) };
    };
    if worker.shedding.borrow_mut().refuses() {
        add(&worker.cells.shed, 1);
        return Decided { request, outcome: Err(SHED) };
    }
    let admission = Admission { worker, peer, head, info, fields };
    let outcome = admission.decide(&generation, &mut request, drafts);
    Decided { request, outcome }
}

fn tag(worker: &Worker, fields: Fields<'_>) -> RequestTag {
    let told = fields.single(FieldName::RequestId).and_then(RequestTag::from_client);
    told.unwrap_or_else(|| worker.tags.borrow_mut().next())
}

fn label(method: &[u8]) -> MethodLabel {
    match method {
        b"GET" => MethodLabel::Get,
        b"POST" => MethodLabel::Post,
        other => std::str::from_utf8(other).map_or(MethodLabel::Other, MethodLabel::of),
    }
}

impl Admission<'_> {
    fn decide(&self, generation: &Generation, request: &mut Request, drafts: &mut Drafts) -> Result<Admitted, Refusal> {
        let config = &*generation.live.compiled;
        let host = self.info.host.map(|host| host.of(self.head)).unwrap_or_default();
        let (raw_path, query) = self.target()?;
        let path = normalise_bytes(raw_path).map_err(|_fault| BAD_TARGET)?;
        let method = self.info.method.of(self.head);
        let wanted = Method::from_bytes(method).map_err(|_fault| Refusal::of(ErrorCode::BadRequest))?;
        let authority = if config.table().has_hosts() {
            std::str::from_utf8(host).ok().filter(|host| !host.is_empty())
        } else {
            None
        };
        let view = View { fields: self.fields, query };
        let found = match config.table().find(authority.map(without_port), &wanted, &path, &view) {
            Lookup::Found(found) => found,
            Lookup::MethodNotAllowed(allowed) => {
                push_line(&mut drafts.extra, b"allow", allowed.to_string().as_bytes());
                return Err(Refusal::of(ErrorCode::MethodNotAllowed));
            }
            Lookup::NotFound => return Err(Refusal::of(ErrorCode::RouteNotFound)),
            Lookup::EncodedSlash => return Err(BAD_TARGET),
        };
        let route = &**found.value();
        request.route = route.index;
        request.service = route.action.first_service().map_or(NO_INDEX, ServiceIndex::get);

        if let (CompiledAction::Forward(CompiledForward { max_body: Some(most), .. }), BodyKind::Length(length)) =
            (&route.action, self.info.body)
            && length > *most
        {
            return Err(Refusal::of(ErrorCode::RequestTooLarge));
        }
        let presented = self.presented(route);
        let facts = self.token_facts(presented, request.at);
        let certificate = self.certificate(route);
        let identity = identify(&generation.live, route, (presented, certificate), facts.as_ref(), request)?;
        self.count(route, &identity, request.at, drafts)?;
        match &route.action {
            CompiledAction::Redirect(redirect) => {
                self.redirect(redirect, found.path(), (host, query), &mut drafts.head)?;
                Ok(Admitted::Redirect(redirect.status))
            }
            CompiledAction::Forward(forward) => {
                let asked = Asked { method, host, query, presented, identity };
                self.forward(forward, &found, asked, generation, request, drafts).map(Admitted::Forward)
            }
        }
    }

    /// Path and query. `OPTIONS *` asks about no resource in particular, so it has no route.
    fn target(&self) -> Result<(&[u8], &[u8]), Refusal> {
        match self.info.form {
            TargetForm::Origin | TargetForm::Absolute => Ok(split_target(self.info.target.of(self.head))),
            TargetForm::Asterisk => Err(Refusal::of(ErrorCode::RouteNotFound)),
        }
    }

    fn presented(&self, route: &CompiledRoute) -> Presented<'_> {
        if !route.auth.reads_credentials() {
            return Presented::Nothing;
        }
        Presented::from_values(self.fields.values(FieldName::ApiKey), self.fields.values(FieldName::Authorization))
    }

    /// The certificate that the client has shown, where the route takes it for a credential.
    fn certificate(&self, route: &CompiledRoute) -> Option<&CertificateFacts> {
        if !route.auth.accept_certificate {
            return None;
        }
        self.peer.certificate.as_ref().map(|certificate| &certificate.facts)
    }

    /// What a presented token says, if its signature holds; nothing when no token was presented.
    fn token_facts(&self, presented: Presented<'_>, now: Timestamp) -> Option<Result<Arc<TokenFacts>, TokenFault>> {
        let Presented::Token(token) = presented else { return None };
        let verified = self.verify(token);
        Some(verified.and_then(|facts| self.worker.shared.settings.jwt.check(&facts, now).map(|()| facts)))
    }

    fn verify(&self, token: &str) -> Result<Arc<TokenFacts>, TokenFault> {
        let verifier = self.worker.shared.verifier.as_ref().ok_or(TokenFault::Invalid)?;
        let keys = verifier.key_generation();
        if let Some(known) = self.worker.tokens.borrow_mut().get(keys, token) {
            return Ok(known);
        }
        let facts = Arc::new(verifier.verify(token).map_err(|_fault| TokenFault::Invalid)?);
        self.worker.tokens.borrow_mut().insert(keys, token, Arc::clone(&facts));
        Ok(facts)
    }

    /// Counts the request in its buckets and writes what they say, or notes that others are to count it.
    fn count(
        &self,
        route: &CompiledRoute,
        identity: &Identity<'_>,
        now: Timestamp,
        drafts: &mut Drafts,
    ) -> Result<(), Refusal> {
        let shared = &self.worker.shared;
        let ip = self.peer.client_ip(self.fields, &shared.settings.trusted_proxies);
        let (client, of_route) = route.buckets(identity, ip, &shared.settings.node_limits);
        let (client, of_route) = (client.as_ref(), of_route.as_ref());
        let [client_key, route_key] = &mut drafts.last_keys;
        let client_ask = client.map(|bucket| (client_key.key(&shared.client_keys, bucket), bucket));
        let route_ask = of_route.map(|bucket| (route_key.key(&shared.client_keys, bucket), bucket));
        let admission = match &shared.counters {
            Counters::Local(table) => {
                let terms = |(key, bucket): (ClientKey, &Bucket<'_>)| (key, bucket.limit());
                table.admit_two(client_ask.map(terms), route_ask.map(terms), now)
            }
            Counters::Leased(table) => table.admit_two(client_ask, route_ask, now),
            Counters::Exact(exact) => {
                let uncounted = Uncounted::new(&exact.keys, client_ask, route_ask, now);
                drafts.uncounted = Some(uncounted);
                return Ok(());
            }
        };
        tell(self.worker, &admission, client.map(Bucket::tier), of_route.map(Bucket::tier), &mut drafts.extra)
    }
}

/// Who the request comes from, as far as that is proven and the route wants to know.
fn identify<'a>(
    live: &'a LiveConfig,
    route: &CompiledRoute,
    (presented, certificate): (Presented<'_>, Option<&CertificateFacts>),
    facts: Option<&'a Result<Arc<TokenFacts>, TokenFault>>,
    request: &mut Request,
) -> Result<Identity<'a>, Refusal> {
    let credential = match (presented, facts) {
        (_, Some(outcome)) => live.compiled.credential_of_token(outcome.as_deref().map_err(|fault| *fault)),
        (Presented::Key(key), None) => live.compiled.credential_of_key(key),
        (Presented::Malformed(kind), None) => Credential::Refused(kind.refusal()),
        (Presented::Nothing | Presented::Token(_), None) => {
            certificate.map_or(Credential::Absent, |facts| live.compiled.credential_of_certificate(facts, request.at))
        }
    };
    match route.admit(&Facts { credential }) {
        Verdict::Allowed(identity) => {
            request.consumer = identity.consumer().map(|consumer| consumer.id);
            Ok(identity)
        }
        Verdict::Refused(code) => Err(Refusal::of(code)),
    }
}
