//! The HTTP side of every handler: problems, extractors, bodies, conditions, pages, repeated POSTs.

mod body;
mod conditional;
mod envelope;
mod extract;
mod idempotency;
mod page;
mod problem;
mod reply;

pub(crate) use self::{
    body::{Fields, RawBody, json_value},
    conditional::{Matches, client_has, etag_of, if_match, none_match_any},
    envelope::{Envelope, envelope},
    extract::{API_BASE, Caller, ClientInfo, FullPath, KeyPath, PathId, PathSeq, Scoped, authenticate},
    idempotency::{Anonymous, is_repeatable, once, once_in_secret},
    page::{Query, page_of, paged_vec},
    problem::{Problem, ProblemBody},
    reply::Reply,
};
