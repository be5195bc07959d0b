//! Strict RFC 9112 framing of requests, as a machine without I/O: which bytes of a client may go on to the HTTP/1 parser,
//! where each message begins and ends, and the first rule that a client breaks.
//!
//! The driver keeps one buffer per connection and follows one rule: it presents every byte that was not consumed yet, and
//! drops what a [`Step`] says was consumed. A head (and a chunk-size line, and a trailer section) is consumed as a whole or
//! not at all, so nothing of it has to be released before it is known to be valid. How the bytes were cut on the wire
//! changes neither the messages nor the violation.
//!
//! ```
//! use novagate_framing::{BodyKind, Limits, RequestFraming, Step};
//!
//! let mut framing = RequestFraming::new(Limits::default());
//! let mut unread: &[u8] = b"POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi";
//! let mut released = Vec::new();
//! loop {
//!     let consumed = match framing.feed(unread) {
//!         Step::Head(head) => {
//!             assert_eq!(head.body, BodyKind::Length(2));
//!             head.len
//!         }
//!         Step::Body { consumed } | Step::EndOfMessage { consumed } => consumed,
//!         Step::NeedMore | Step::Closed => break, // read more; or: nothing after this belongs to a request
//!         Step::Violation(violation) => panic!("answer {} {violation} and close", violation.status()),
//!     };
//!     let (valid, rest) = unread.split_at(consumed);
//!     released.extend_from_slice(valid);
//!     unread = rest;
//! }
//! assert!(unread.is_empty() && released.ends_with(b"\r\n\r\nhi"));
//! ```
//!
//! Always: no input panics, allocates or costs more than a few steps per byte; what passes is read the same way by hyper
//! 1.x and http 1.x (target bytes, lengths and extension sizes that those refuse by themselves are violations here).
//! Not here: the meaning of a request (`routing`, `policies`), responses, time limits, sockets (`adapters/http-edge`).

mod chunk_line;
mod chunked;
mod facts;
mod fields;
mod head;
mod host;
mod info;
mod lanes;
mod limits;
mod machine;
mod proxy_header;
mod tables;
mod target;
mod violation;

pub use self::{
    info::{BodyKind, HeadInfo, Span, TargetForm, Version},
    limits::{Limits, LimitsError},
    machine::{Position, RequestFraming, Step},
    proxy_header::ProxyHeader,
    tables::{end_of_token, end_of_value},
    violation::Violation,
};
