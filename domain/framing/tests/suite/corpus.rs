//! Inputs worth keeping, one a file. The name says what is in it: `ok-...` passes to its last byte, `closed-...` passes up
//! to a message that closes, `partial-...` waits for more, and `bad-<violation>-...` breaks that rule.

use std::{collections::BTreeMap, path::Path};

use novagate_framing::{Limits, Violation};

use crate::driver::{Event, byte_by_byte, drive, whole};

/// File names and bytes, in order.
fn corpus() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_string_lossy().into_owned();
        (path.extension()? == "req").then(|| (name, bytes_of(&path)))
    };
    folder.read_dir().unwrap().filter_map(read).collect()
}

#[expect(clippy::disallowed_methods, reason = "the corpus is files; the crate itself reads none")]
fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// `bad-BareLf-in-name.req` names `BareLf`.
fn named_violation(name: &str) -> Option<Violation> {
    let word = name.strip_prefix("bad-")?.split('-').next()?.trim_end_matches(".req");
    let found = Violation::ALL.iter().copied().find(|violation| format!("{violation:?}") == word);
    assert!(found.is_some(), "{name} names no violation");
    found
}

#[test]
fn corpus_is_read_as_its_file_names_say() {
    let corpus = corpus();
    assert!(corpus.len() >= 40, "the corpus is there");
    for (name, input) in &corpus {
        let outcome = whole(input, Limits::default());
        assert_eq!(outcome.violation(), named_violation(name), "{name}");
        let is_last = outcome.events.last() == Some(&Event::Closed);
        match name.split('-').next() {
            Some("ok") => assert!(outcome.released == input.len() && !is_last, "{name}: {outcome:?}"),
            Some("closed") => assert!(is_last, "{name}: {outcome:?}"),
            Some("partial") => assert!(outcome.released < input.len() && !is_last, "{name}: {outcome:?}"),
            Some("bad") => {}
            _ => panic!("{name} has no known beginning"),
        }
    }
}

#[test]
fn corpus_is_read_the_same_when_cut_at_every_byte() {
    for (name, input) in &corpus() {
        let at_once = whole(input, Limits::default());
        assert_eq!(byte_by_byte(input, Limits::default()), at_once, "{name}");
        for cut in 0..input.len() {
            assert_eq!(drive(input, Limits::default(), [cut]), at_once, "{name} cut at {cut}");
        }
    }
}
