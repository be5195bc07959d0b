//! What becomes of a request, decided from its head: a refusal, or where it goes and as whom.
//!
//! Always: synchronous; complete before a byte goes upstream, but for a count that others make (`counting`); nothing that a
//! client sent is believed that was not proven here. Not here: matching and rules themselves (`novagate_routing`, `novagate_policies`), the exchange.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use novagate_framing::{HeadInfo, TargetForm};
use novagate_kernel::{ConsumerId, ErrorCode, Timestamp};
use novagate_policies::{
    Affinity, Bucket, CompiledRoute, CompiledService, Credential, Facts, Grounds, Identity, Presented, ServiceIndex,
    TokenFacts, TokenFault, Verdict,
};
use novagate_ports_edge::LiveConfig;
use novagate_records::{MethodLabel, NO_INDEX};
use novagate_routing::{HashOn, LoadBalancing, Lookup, normalise_bytes, without_port};

use crate::counting::{Counters, Uncounted, tell};
use crate::generation::Generation;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::request_id::RequestTag;
use crate::wire::fields::{Fields, scan};
use crate::wire::names::FieldName;
use crate::wire::request::{Forward, KeyFields, split_target};
use crate::wire::response::push_line;
use crate::wire::websocket;
use crate::worker::Worker;

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
    pub(crate) consumer: Option<ConsumerId>,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) service: ServiceIndex,
    pub(crate) candidate: usize,
    /// What it has in common with the requests that go to the same target.
    pub(crate) affinity: Option<Affinity>,
    /// Where the target's authority stands in the head that was written.
    pub(crate) authority: Range<usize>,
    /// It offers to go on as a WebSocket: what that would rest on.
    pub(crate) websocket: Option<Box<Grounds>>,
}

/// Room of a connection that the decision writes into.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// The head for the upstream.
    pub(crate) head: Vec<u8>,
    /// Lines for the response, whoever gives it.
    pub(crate) extra: Vec<u8>,
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

/// Decides about a valid head.
pub(crate) fn decide(
    worker: &Worker,
    peer: &Peer,
    head: &[u8],
    info: &HeadInfo,
    drafts: &mut Drafts,
) -> (Request, Result<Passage, Refusal>) {
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
        consumer: None,
    };
    let Some(generation) = request.generation.clone() else {
        return (request, Err(Refusal::of(ErrorCode::NotReady)));
    };
    let admission = Admission { worker, peer, head, info, fields };
    let outcome = admission.decide(&generation, &mut request, drafts);
    (request, outcome)
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
    fn decide(&self, generation: &Generation, request: &mut Request, drafts: &mut Drafts) -> Result<Passage, Refusal> {
        let config = &*generation.live.compiled;
        let host = self.info.host.map(|host| host.of(self.head)).unwrap_or_default();
        let (raw_path, query) = self.target()?;
        let path = normalise_bytes(raw_path).map_err(|_fault| BAD_TARGET)?;
        let method = self.info.method.of(self.head);
        let wanted = Method::from_bytes(method).map_err(|_fault| Refusal::of(ErrorCode::BadRequest))?;
        let authority = std::str::from_utf8(host).ok().filter(|host| !host.is_empty());
        let found = match config.table().find(authority.map(without_port), &wanted, &path) {
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

        let presented = self.presented(route);
        let facts = self.token_facts(presented, request.at);
        let identity = identify(&generation.live, route, presented, facts.as_ref(), request)?;
        self.count(route, &identity, request.at, drafts)?;

        let (service, upstream) = generation.service(route.service).ok_or(Refusal::of(ErrorCode::Internal))?;
        let board = &self.worker.shared.board;
        let affinity = self.affinity(service, &identity);
        let candidate = upstream.pick(service, affinity, || board.now_ms(), &[]);
        let (candidate, target) = candidate
            .and_then(|at| Some((at, upstream.targets.get(at)?)))
            .ok_or(Refusal::of(ErrorCode::NoHealthyTargets))?;
        let reads = route.auth.reads_credentials();
        let offers_websocket = self.info.upgrade && websocket::is_offered(self.head, self.info, self.fields);
        let forward = Forward {
            method,
            path: found.forward_path(route.strip_prefix).as_bytes(),
            query,
            fields: self.fields,
            body: self.info.body,
            authority: &target.target.authority,
            host,
            peer: &self.peer.text,
            peer_is_trusted: self.peer.is_trusted,
            is_secure: self.peer.is_secure,
            request_id: request.tag.as_bytes(),
            identity,
            keys: if reads { KeyFields::Ours } else { KeyFields::OnlyRecognised },
            offers_websocket,
        };
        let authority = forward.write(&mut drafts.head);
        let grounds = || Box::new(Grounds::new(route.id, request.consumer, presented));
        let websocket = offers_websocket.then(grounds);
        Ok(Passage { service: route.service, candidate, affinity, authority, websocket })
    }

    fn affinity(&self, service: &CompiledService, identity: &Identity<'_>) -> Option<Affinity> {
        let LoadBalancing::ConsistentHash(hash_on) = &service.load_balancing else { return None };
        match hash_on {
            HashOn::Consumer => identity.consumer().map(|consumer| Affinity::of(consumer.id.as_uuid().as_bytes())),
            HashOn::Header(name) => self.fields.named(name.as_bytes()).next().map(Affinity::of),
            HashOn::Cookie(name) => self.fields.cookie(name.as_bytes()).map(Affinity::of),
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
        let key = |bucket: &Bucket<'_>| shared.client_keys.key(bucket);
        let admission = match &shared.counters {
            Counters::Local(table) => {
                let ask = |bucket: &Bucket<'_>| (key(bucket), bucket.limit());
                table.admit_two(client.map(ask), of_route.map(ask), now)
            }
            Counters::Leased(table) => {
                let client = client.map(|bucket| (key(bucket), bucket));
                table.admit_two(client, of_route.map(|bucket| (key(bucket), bucket)), now)
            }
            Counters::Exact(exact) => {
                let uncounted = Uncounted::new(&exact.keys, &shared.client_keys, client, of_route, now);
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
    presented: Presented<'_>,
    facts: Option<&'a Result<Arc<TokenFacts>, TokenFault>>,
    request: &mut Request,
) -> Result<Identity<'a>, Refusal> {
    let credential = match (presented, facts) {
        (_, Some(outcome)) => live.compiled.credential_of_token(outcome.as_deref().map_err(|fault| *fault)),
        (Presented::Key(key), None) => live.compiled.credential_of_key(key),
        (Presented::Malformed(kind), None) => Credential::Refused(kind.refusal()),
        (Presented::Nothing | Presented::Token(_), None) => Credential::Absent,
    };
    match route.admit(&Facts { credential }) {
        Verdict::Allowed(identity) => {
            request.consumer = identity.consumer().map(|consumer| consumer.id);
            Ok(identity)
        }
        Verdict::Refused(code) => Err(Refusal::of(code)),
    }
}
