//! Collects what is wrong with a document, each fault at its RFC 6901 pointer, up to a bound.

use novagate_ports_control::inbound::FieldFault;

/// More faults than this help nobody, and a hostile document could have millions.
pub(crate) const MAX_FAULTS: usize = 100;

/// A key of the document is quoted in a pointer up to this length.
const MAX_QUOTED_KEY: usize = 128;

/// A rule that a value breaks, as a word and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Broken {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Where the reader is, and what it has found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pointer: String,
    found: Vec<FieldFault>,
    overflowed: bool,
}

impl Faults {
    /// Runs `read` one step further down.
    pub(crate) fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.pointer.len();
        push_step(&mut self.pointer, step);
        let answer = read(self);
        self.pointer.truncate(length);
        answer
    }

    /// Notes a fault at the present place.
    pub(crate) fn note(&mut self, broken: Broken) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(FieldFault::new(self.pointer.clone(), broken.code, broken.message));
        } else {
            self.overflowed = true;
        }
    }

    /// Notes a fault further down.
    pub(crate) fn note_at(&mut self, steps: &[&str], broken: Broken) {
        match steps {
            [] => self.note(broken),
            [first, rest @ ..] => self.within(first, |inner| inner.note_at(rest, broken)),
        }
    }

    /// Whether reading on would change nothing.
    pub(crate) const fn is_full(&self) -> bool {
        self.overflowed
    }

    /// Everything that was found; empty: the document is fine.
    pub(crate) fn into_found(mut self) -> Vec<FieldFault> {
        if self.overflowed {
            let message = format!("there are more faults than the {MAX_FAULTS} listed");
            self.found.push(FieldFault::new("", "too_many_faults", message));
        }
        self.found
    }
}

/// Appends `/step` with the escapes of RFC 6901, section 3. Long keys and control characters are not repeated whole: a
/// pointer ends up in logs and terminals.
fn push_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    for (at, character) in step.chars().enumerate() {
        if at == MAX_QUOTED_KEY {
            pointer.push('\u{2026}');
            return;
        }
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other if is_unsafe_to_show(other) => pointer.push('\u{fffd}'),
            other => pointer.push(other),
        }
    }
}

/// Control characters, and the marks that turn the direction of text around (UAX #9).
fn is_unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_and_never_carry_control_characters() {
        let mut faults = Faults::default();
        faults.note_at(&["a/b", "~\n\u{202e}"], Broken::new("x", "y"));
        assert_eq!(faults.into_found()[0].pointer, "/a~1b/~0\u{fffd}\u{fffd}");
    }

    #[test]
    fn the_number_of_faults_is_bounded_and_the_rest_is_said() {
        let mut faults = Faults::default();
        for _ in 0..MAX_FAULTS + 5 {
            faults.note(Broken::new("x", "y"));
        }
        assert!(faults.is_full());
        let found = faults.into_found();
        assert_eq!(found.len(), MAX_FAULTS + 1);
        assert_eq!(found[MAX_FAULTS].code, "too_many_faults");
    }
}
