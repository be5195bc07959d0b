//! A response of HTTP/1.1, as the pipeline writes it, as the parts of one of HTTP/2.
//!
//! Always: what concerns a connection of HTTP/1.1 ends here (RFC 9113, section 8.2.2); a switch to a WebSocket becomes the
//! 200 of RFC 8441 only where one was asked for and the upstream has understood it. Not here: bodies (`reader`), frames and
//! windows (`stream`).

use http::{HeaderMap, Response, StatusCode};

use super::handshake::{ACCEPT_FIELD, Handshake};
use super::reader::{BadMessage, BodyPart, BodyReader, HeadBuffer, push};
use crate::wire::fields::Fields;
use crate::wire::names::FieldName;
use crate::wire::response::{BodyLength, ResponseHead, ResponseParser};

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
    /// The request began a WebSocket.
    websocket: Option<Handshake>,
    head: HeadBuffer,
    /// Once its head is there.
    body: Option<BodyReader>,
}

impl ResponseReader {
    pub(super) fn new(to_head: bool, websocket: Option<Handshake>) -> Self {
        Self { to_head, websocket, head: HeadBuffer::default(), body: None }
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(&self.body, Some(body) if body.has_ended())
    }

    /// Whether what comes is a WebSocket's.
    pub(super) const fn has_switched(&self) -> bool {
        matches!(self.body, Some(BodyReader::Raw))
    }

    /// Nothing more will be read of a WebSocket.
    pub(super) fn shut(&mut self) {
        self.body = Some(BodyReader::Ended);
    }

    /// Reads as much as there is and hands each part to `sink`; how many bytes are done with, some of what is not nothing.
    pub(super) fn read(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<usize, BadMessage> {
        let Some(body) = &mut self.body else { return self.read_head(bytes, sink) };
        body.read(bytes, &mut |part| {
            sink(match part {
                BodyPart::Data(data) => Frame::Data(data),
                BodyPart::End(trailers) => Frame::End(trailers),
            });
        })
    }

    fn read_head(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<usize, BadMessage> {
        let (count, is_whole) = self.head.take(bytes);
        if !is_whole {
            return Ok(count);
        }
        let (mut parser, mut list) = (ResponseParser::default(), Vec::new());
        let parsed = parser.parse(self.head.bytes(), self.to_head, &mut list).map_err(|_bad| BadMessage)?;
        let head = parsed.ok_or(BadMessage)?;
        let fields = Fields::new(self.head.bytes(), &list);
        if head.status == 101 {
            let is_answer = self.websocket.as_ref().is_some_and(|handshake| handshake.is_answered_by(fields));
            let mut answer = response(200, fields)?;
            answer.headers_mut().remove(ACCEPT_FIELD);
            if !is_answer {
                return Err(BadMessage);
            }
            sink(Frame::Head(answer, false));
            self.body = Some(BodyReader::Raw);
        } else if self.websocket.is_some() && (200..300).contains(&head.status) {
            // Over HTTP/2 it would say that the WebSocket is open.
            return Err(BadMessage);
        } else {
            let answer = response(head.status, fields)?;
            self.go_on(head, answer, sink)?;
        }
        self.head.clear();
        Ok(count)
    }

    /// Goes on with what is behind the head.
    fn go_on(
        &mut self,
        head: ResponseHead,
        answer: Response<()>,
        sink: &mut impl FnMut(Frame<'_>),
    ) -> Result<(), BadMessage> {
        if head.status < 200 {
            sink(Frame::Interim(answer));
            return Ok(());
        }
        sink(Frame::Head(answer, head.body == BodyLength::None));
        self.body = Some(match head.body {
            BodyLength::None => BodyReader::Ended,
            BodyLength::Known(length) => BodyReader::Known(length),
            BodyLength::Chunked => BodyReader::chunked(),
            // The pipeline writes none of these for HTTP/1.1.
            BodyLength::UntilClose => return Err(BadMessage),
        });
        Ok(())
    }
}

fn response(status: u16, fields: Fields<'_>) -> Result<Response<()>, BadMessage> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_bad| BadMessage)?;
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

#[cfg(test)]
mod tests;
