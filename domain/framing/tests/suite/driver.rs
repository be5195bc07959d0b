//! A driver for tests: one buffer, fed as the crate's documentation says, and what came out in a form that can be compared.

use novagate_framing::{HeadInfo, Limits, RequestFraming, Step, Violation};

/// What a machine said, with neighbouring pieces of a body joined: cutting the input may change only their sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Head(HeadInfo),
    Body(usize),
    End,
    Violation(Violation),
    Closed,
}

/// Everything a machine said about an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<Event>,
    /// Bytes released.
    pub(crate) released: usize,
}

impl Outcome {
    pub(crate) fn violation(&self) -> Option<Violation> {
        match self.events.last() {
            Some(Event::Violation(violation)) => Some(*violation),
            _ => None,
        }
    }

    pub(crate) fn heads(&self) -> Vec<HeadInfo> {
        let head = |event: &Event| if let Event::Head(head) = event { Some(*head) } else { None };
        self.events.iter().filter_map(head).collect()
    }

    fn note(&mut self, event: Event) {
        match (self.events.last_mut(), event) {
            (Some(Event::Body(sum)), Event::Body(more)) => *sum += more,
            (_, event) => self.events.push(event),
        }
    }
}

/// Feeds the input in pieces that end at the given places (in any order, repeated or out of range), then at its end.
/// Panics when the machine breaks its contract.
pub(crate) fn drive(input: &[u8], limits: Limits, cuts: impl IntoIterator<Item = usize>) -> Outcome {
    let mut framing = RequestFraming::new(limits);
    let mut outcome = Outcome { events: Vec::new(), released: 0 };
    for end in cuts.into_iter().chain([input.len()]) {
        let end = end.clamp(outcome.released, input.len());
        if feed_until_stuck(&mut framing, &input[..end], &mut outcome) {
            break;
        }
    }
    outcome
}

/// The outcome of one piece.
pub(crate) fn whole(input: &[u8], limits: Limits) -> Outcome {
    drive(input, limits, [])
}

/// The outcome of one byte after the other.
pub(crate) fn byte_by_byte(input: &[u8], limits: Limits) -> Outcome {
    drive(input, limits, 1..input.len())
}

/// True when the machine will never release anything again.
fn feed_until_stuck(framing: &mut RequestFraming, shown: &[u8], outcome: &mut Outcome) -> bool {
    loop {
        let unread = &shown[outcome.released..];
        let consumed = match framing.feed(unread) {
            Step::NeedMore => return false,
            Step::Closed => {
                outcome.note(Event::Closed);
                return true;
            }
            Step::Violation(violation) => {
                assert_eq!(framing.feed(unread), Step::Violation(violation), "a violation is final");
                outcome.note(Event::Violation(violation));
                return true;
            }
            Step::Head(head) => {
                assert!(head.len <= unread.len() && unread[..head.len].ends_with(b"\r\n\r\n"));
                outcome.note(Event::Head(head));
                head.len
            }
            Step::Body { consumed } => {
                outcome.note(Event::Body(consumed));
                consumed
            }
            Step::EndOfMessage { consumed } => {
                outcome.note(Event::Body(consumed));
                outcome.note(Event::End);
                consumed
            }
        };
        assert!(consumed > 0 && consumed <= unread.len(), "progress within what was shown");
        outcome.released += consumed;
    }
}
