//! What the result codes of SQLite mean.

use novagate_ports_base::FaultKind;

/// By result code (<https://www.sqlite.org/rescode.html>); the low byte is the primary code.
pub(super) const fn kind_of(code: u32) -> FaultKind {
    const SHORT_READ: u32 = 522;
    match (code, code & 0xff) {
        // CORRUPT, FORMAT, NOTADB, and a file that ends too early.
        (_, 11 | 24 | 26) | (SHORT_READ, _) => FaultKind::Corrupt,
        // ERROR, MISMATCH, MISUSE, RANGE, CONSTRAINT: a statement of ours is wrong.
        (_, 1 | 19 | 20 | 21 | 25) => FaultKind::Misuse,
        _ => FaultKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_become_kinds() {
        assert_eq!(kind_of(5), FaultKind::Unavailable);
        assert_eq!(kind_of(11), FaultKind::Corrupt);
        assert_eq!(kind_of(267), FaultKind::Corrupt);
        assert_eq!(kind_of(26), FaultKind::Corrupt);
        assert_eq!(kind_of(13), FaultKind::Unavailable);
        assert_eq!(kind_of(787), FaultKind::Misuse);
    }
}
