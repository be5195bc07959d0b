//! Golden files: outside shapes as they were written once, kept for ever.

use std::path::PathBuf;

/// The bytes of a golden file. `NOVAGATE_BLESS=1` writes it from `fresh` first: for a new shape, never for a changed one.
pub(crate) fn golden(name: &str, fresh: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("NOVAGATE_BLESS").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|_| panic!("golden file {name} is missing"))
}

/// `text` with one change: a byte replaced, removed or doubled.
pub(crate) fn mutate(text: &[u8], at: usize, byte: u8, how: u8) -> Vec<u8> {
    let mut out = text.to_vec();
    let at = at % out.len().max(1);
    match how % 3 {
        0 => out[at] = byte,
        1 => drop(out.remove(at)),
        _ => out.insert(at, byte),
    }
    out
}
