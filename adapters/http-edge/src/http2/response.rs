//! A response of HTTP/1.1, as the pipeline writes it, as the parts of one of HTTP/2.
//!
//! Always: how the bytes were cut makes no other parts; what concerns a connection of HTTP/1.1 ends here (RFC 9113, section
//! 8.2.2); a response has an end only when its bytes have. Not here: frames and windows (`stream`).

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::wire::chunks::{ChunkDecoder, Part};
use crate::wire::fields::Fields;
use crate::wire::names::FieldName;
use crate::wire::response::{BadResponse, BodyLength, ResponseParser};

/// The end of a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A part of a response.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// A head before the head.
    Interim(Response<()>),
    /// With whether it is all.
    Head(Response<()>, bool),
    /// Bytes of the body; never empty.
    Data(&'a [u8]),
    /// Nothing comes behind it.
    End(Option<HeaderMap>),
}

/// Reads one response.
#[derive(Debug)]
pub(super) struct ResponseReader {
    /// The request was HEAD.
    to_head: bool,
    head: Vec<u8>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Head,
    /// Bytes that are still to come.
    Known(u64),
    Chunked {
        decoder: ChunkDecoder,
        trailers: HeaderMap,
    },
    Ended,
}

impl ResponseReader {
    pub(super) const fn new(to_head: bool) -> Self {
        Self { to_head, head: Vec::new(), phase: Phase::Head }
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Reads as much as there is and hands each part to `sink`; how many bytes are done with, some of what is not nothing.
    pub(super) fn read(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<usize, BadResponse> {
        match &mut self.phase {
            Phase::Head => self.read_head(bytes, sink),
            Phase::Known(left) => {
                let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                if let Some(data) = bytes.get(..count).filter(|data| !data.is_empty()) {
                    sink(Frame::Data(data));
                }
                *left -= count as u64;
                if *left == 0 {
                    self.end(None, sink);
                }
                Ok(count)
            }
            Phase::Chunked { decoder, trailers } => {
                let mut is_bad = false;
                self.head.extend_from_slice(bytes);
                let decoded = decoder.decode(&self.head, |part| match part {
                    Part::Data(data) => sink(Frame::Data(data)),
                    Part::Trailer(line) => is_bad |= push_trailer(trailers, line).is_err(),
                });
                let decoded = decoded.map_err(|_bad| BadResponse)?;
                // Only an unfinished line is kept, which has a bound.
                self.head.drain(..decoded.consumed);
                if is_bad || (decoded.ended && !self.head.is_empty()) {
                    return Err(BadResponse);
                }
                if decoded.ended {
                    let trailers = std::mem::take(trailers);
                    self.end(Some(trailers).filter(|trailers| !trailers.is_empty()), sink);
                }
                Ok(bytes.len())
            }
            Phase::Ended => Err(BadResponse),
        }
    }

    fn read_head(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<usize, BadResponse> {
        // The end may have begun in what came before.
        let (before, from) = (self.head.len(), self.head.len().saturating_sub(HEAD_END.len() - 1));
        self.head.extend_from_slice(bytes);
        let fresh = self.head.get(from..).unwrap_or_default();
        let Some(at) = fresh.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
            return Ok(bytes.len());
        };
        let end = from + at + HEAD_END.len();
        self.head.truncate(end);
        let (mut parser, mut list) = (ResponseParser::default(), Vec::new());
        let head = parser.parse(&self.head, self.to_head, &mut list)?.ok_or(BadResponse)?;
        let response = response(head.status, Fields::new(&self.head, &list))?;
        self.head.clear();
        if head.status < 200 {
            sink(Frame::Interim(response));
            return Ok(end - before);
        }
        sink(Frame::Head(response, head.body == BodyLength::None));
        match head.body {
            BodyLength::None => self.phase = Phase::Ended,
            BodyLength::Known(length) => self.phase = Phase::Known(length),
            BodyLength::Chunked => {
                self.phase = Phase::Chunked { decoder: ChunkDecoder::new(), trailers: HeaderMap::new() };
            }
            // The pipeline writes none of these for HTTP/1.1.
            BodyLength::UntilClose => return Err(BadResponse),
        }
        Ok(end - before)
    }

    fn end(&mut self, trailers: Option<HeaderMap>, sink: &mut impl FnMut(Frame<'_>)) {
        self.phase = Phase::Ended;
        sink(Frame::End(trailers));
    }
}

fn response(status: u16, fields: Fields<'_>) -> Result<Response<()>, BadResponse> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_bad| BadResponse)?;
    for (meaning, name, value) in fields.lines() {
        let ends_here = matches!(
            meaning,
            FieldName::HopByHop | FieldName::Connection | FieldName::Upgrade | FieldName::TransferEncoding
        );
        if !ends_here {
            push(response.headers_mut(), name, value)?;
        }
    }
    Ok(response)
}

fn push_trailer(trailers: &mut HeaderMap, line: &[u8]) -> Result<(), BadResponse> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(BadResponse)?;
    let (name, value) = line.split_at(colon);
    push(trailers, name, value.get(1..).unwrap_or_default().trim_ascii())
}

fn push(fields: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
    let name = HeaderName::from_bytes(name).map_err(|_bad| BadResponse)?;
    let value = HeaderValue::from_bytes(value).map_err(|_bad| BadResponse)?;
    fields.try_append(name, value).map(drop).map_err(|_full| BadResponse)
}

#[cfg(test)]
mod tests;
