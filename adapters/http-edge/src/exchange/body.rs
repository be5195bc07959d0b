//! The body of a request: what has come of it, what of that was sent, and what is kept so that it can be sent again.
//!
//! Always: bytes of a body go on only after the framing machine has found them valid; a body of known length goes on as it
//! is, chunks are put on anew. What is kept is the body from its beginning, as it is sent, within its bound; it outlives a
//! try, and the client goes on sending where it was. A mirror gets it when all of it was admitted. Not here: when it is sent
//! (`upload`), whether again (`connection`).

use http::HeaderMap;
use novagate_framing::{BodyKind, Step};
use novagate_kernel::ErrorCode;

use super::End;
use super::decoding::DecodedBody;
use crate::client::Client;
use crate::mirror::WaitingCopy;
use crate::refusal::Refusal;
use crate::wire::chunks::{ChunkDecoder, LAST_CHUNK, Part, push_chunk};
use crate::wire::names::FieldName;

/// A body on its way.
pub(crate) struct RequestBody {
    form: Form,
    /// Bytes of it that are kept for another try; 0: none.
    kept: usize,
    taken: Taken,
    /// Everything of it was admitted.
    admitted: bool,
    /// Behind a body of known length.
    trailers: Option<HeaderMap>,
    /// Waits for all of it.
    copy: Option<Box<WaitingCopy>>,
}

enum Form {
    /// Bytes at the front of the client's buffer that go as they are.
    Plain { ready: usize },
    /// Bytes of its own: those of chunks, which are put on anew, and those that are kept.
    Own { bytes: Vec<u8>, sent: usize, chunks: Option<Box<Chunks>> },
    /// Content out of a coding, in chunks; it is not kept.
    Decoded(Box<DecodedBody>),
}

#[derive(Debug)]
struct Chunks {
    decoder: ChunkDecoder,
    trailers: Vec<u8>,
}

/// What was taken from the client's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    /// All of it is here.
    Kept,
    /// Some of it is gone: it cannot be sent from its beginning again.
    Lost,
}

impl RequestBody {
    /// Of a request whose head was read; `kept` bytes of it are kept for other tries, and what `copy` takes for that.
    pub(crate) fn new(kind: BodyKind, kept: usize, mut copy: Option<Box<WaitingCopy>>) -> Self {
        if let BodyKind::Length(length) = kind {
            copy = copy.filter(|copy| copy.takes(length));
        }
        let own = |chunks| Form::Own { bytes: Vec::new(), sent: 0, chunks };
        let form = match kind {
            BodyKind::Length(length) if length > 0 && (copy.is_some() || length <= kept as u64) => own(None),
            BodyKind::None | BodyKind::Length(_) => Form::Plain { ready: 0 },
            BodyKind::Chunked => own(Some(Box::new(Chunks { decoder: ChunkDecoder::new(), trailers: Vec::new() }))),
        };
        let admitted = matches!(kind, BodyKind::None | BodyKind::Length(0));
        if let Some(copy) = copy.take_if(|_| admitted) {
            copy.send(b"", None);
        }
        Self { form, kept, taken: Taken::Nothing, admitted, trailers: None, copy }
    }

    /// The same with its content out of a coding. Neither a mirror nor another try gets it.
    pub(crate) fn decoded(body: DecodedBody) -> Self {
        let form = Form::Decoded(Box::new(body));
        Self { form, kept: 0, taken: Taken::Nothing, admitted: false, trailers: None, copy: None }
    }

    /// Everything of it was admitted, and nothing waits to be decoded.
    pub(super) fn is_admitted(&self) -> bool {
        self.admitted && !matches!(&self.form, Form::Decoded(body) if body.has_undecoded())
    }

    /// Nothing of it was taken from the client.
    pub(super) fn is_untouched(&self) -> bool {
        self.taken == Taken::Nothing
    }

    /// It can be sent from its beginning.
    pub(super) fn is_replayable(&self) -> bool {
        match &self.form {
            Form::Own { bytes, .. } if self.taken == Taken::Kept => bytes.len() <= self.kept,
            Form::Own { .. } | Form::Plain { .. } | Form::Decoded(_) => self.taken == Taken::Nothing,
        }
    }

    /// Bytes wait for the upstream to take them.
    pub(super) fn has_pending(&self) -> bool {
        match &self.form {
            Form::Plain { ready } => *ready > 0,
            Form::Own { bytes, sent, .. } => *sent < bytes.len(),
            Form::Decoded(body) => !body.unsent().is_empty(),
        }
    }

    /// The bytes that wait.
    pub(super) fn pending<'b>(&'b self, client: &'b Client) -> &'b [u8] {
        let pending = match &self.form {
            Form::Plain { ready } => client.input.unread().get(..*ready),
            Form::Own { bytes, sent, .. } => bytes.get(*sent..),
            Form::Decoded(body) => Some(body.unsent()),
        };
        pending.unwrap_or_default()
    }

    /// What stands behind it, for this try.
    pub(super) fn trailers(&mut self) -> Option<HeaderMap> {
        if self.taken == Taken::Kept { self.trailers.clone() } else { self.trailers.take() }
    }

    /// Another try sends it from its beginning.
    pub(super) const fn rewind(&mut self) {
        if let (Form::Own { sent, .. }, Taken::Kept) = (&mut self.form, self.taken) {
            *sent = 0;
        }
    }

    /// All of it, when it is kept as a whole.
    pub(super) fn whole(&self) -> &[u8] {
        match &self.form {
            Form::Own { bytes, .. } => bytes,
            Form::Plain { .. } | Form::Decoded(_) => b"",
        }
    }

    /// All of it was sent.
    pub(super) const fn finish(&mut self) {
        if let Form::Own { bytes, sent, .. } = &mut self.form {
            *sent = bytes.len();
        }
    }

    /// There will be no other try.
    pub(super) fn release(&mut self) {
        self.kept = 0;
        self.hold_to_bound();
    }

    /// Drops what was taken over from the client and not sent: it must not be read as the client's next request.
    pub(super) fn abandon(&mut self, client: &mut Client) {
        if let Form::Plain { ready } = &mut self.form {
            client.input.consume(std::mem::take(ready));
        }
    }

    /// Takes over what has come.
    pub(super) fn admit(&mut self, client: &mut Client) -> Result<(), End> {
        if let Form::Decoded(body) = &mut self.form
            && body.has_undecoded()
        {
            return body.decode();
        }
        if self.admitted {
            return Ok(());
        }
        let (consumed, ended) = match client.framing.feed(client.input.unread()) {
            Step::NeedMore => return Ok(()),
            Step::Body { consumed } => (consumed, false),
            Step::EndOfMessage { consumed } => (consumed, true),
            Step::Violation(violation) => return Err(End::Violated(Refusal::broken(violation))),
            Step::Head(_) | Step::Closed => return Err(End::Failed(ErrorCode::Internal)),
        };
        self.admitted = ended;
        if ended {
            self.trailers = client.transport.take_trailers();
        }
        let taken = client.input.unread().get(..consumed).unwrap_or_default();
        match &mut self.form {
            Form::Plain { ready } => {
                *ready = consumed;
                self.taken = Taken::Lost;
                return Ok(());
            }
            Form::Decoded(body) => {
                let decoded = body.take(taken, ended);
                client.input.consume(consumed);
                self.taken = Taken::Lost;
                return decoded;
            }
            Form::Own { bytes, chunks: None, .. } => bytes.extend_from_slice(taken),
            Form::Own { bytes, chunks: Some(chunks), .. } => chunks.put_on(taken, ended, bytes)?,
        }
        client.input.consume(consumed);
        if self.taken == Taken::Nothing {
            self.taken = Taken::Kept;
        }
        self.hold_to_bound();
        Ok(())
    }

    /// Gives the mirror what is all of it, and lets go of what was sent when it is more than is kept.
    fn hold_to_bound(&mut self) {
        let Form::Own { bytes, .. } = &self.form else { return };
        self.copy = self.copy.take().filter(|copy| copy.takes(bytes.len() as u64));
        if let Some(copy) = self.copy.take_if(|_| self.admitted) {
            copy.send(bytes, self.trailers.as_ref());
        }
        let is_awaited = self.copy.is_some();
        if let (Form::Own { bytes, sent, .. }, Taken::Kept) = (&mut self.form, self.taken)
            && bytes.len() > self.kept
            && !is_awaited
        {
            *bytes = bytes.split_off((*sent).min(bytes.len()));
            *sent = 0;
            self.taken = Taken::Lost;
        }
    }

    /// Bytes were taken by the upstream.
    pub(super) fn sent(&mut self, count: usize, client: &mut Client) {
        match &mut self.form {
            Form::Plain { ready } => {
                *ready -= count.min(*ready);
                client.input.consume(count);
            }
            Form::Own { bytes, sent, .. } => {
                *sent += count;
                if *sent >= bytes.len() && self.taken == Taken::Lost {
                    bytes.clear();
                    *sent = 0;
                }
            }
            Form::Decoded(body) => body.sent(count),
        }
    }
}

impl Chunks {
    /// Codes anew what framing has admitted.
    fn put_on(&mut self, admitted: &[u8], ended: bool, out: &mut Vec<u8>) -> Result<(), End> {
        let Self { decoder, trailers } = self;
        let decoded = decoder.decode(admitted, |part| match part {
            Part::Data(data) => push_chunk(out, data),
            Part::Trailer(line) => push_trailer(trailers, line),
        });
        // What framing admits is well-formed for the decoder too; a difference would be a defect of ours.
        if !decoded.is_ok_and(|decoded| decoded.consumed == admitted.len() && decoded.ended == ended) {
            return Err(End::Failed(ErrorCode::Internal));
        }
        if ended {
            out.extend_from_slice(LAST_CHUNK);
            out.append(trailers);
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

pub(super) fn push_trailer(out: &mut Vec<u8>, line: &[u8]) {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    if FieldName::of(name).may_trail() {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}
