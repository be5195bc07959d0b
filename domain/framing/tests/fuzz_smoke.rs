//! A short seeded fuzz run: mutated corpus inputs through the machine, at once, byte by byte and in random pieces.
//!
//! Always the same inputs, so a failure here is a failure everywhere; the message carries the input.

#[cfg(test)]
#[path = "suite/driver.rs"]
mod driver;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use novagate_framing::{BodyKind, Limits};

    use super::driver::{Event, Outcome, byte_by_byte, drive, whole};

    const ROUNDS: usize = 20_000;
    const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
    /// Larger inputs only repeat what smaller ones do.
    const MAX_INPUT: usize = 600;
    /// What framing bugs are made of.
    const TOKENS: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"\"",
        b"\r\n ",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"chunked",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: a\r\n",
        b"ffffffff",
        b"\x7f",
        b"\x80",
    ];

    struct XorShift(u64);

    impl XorShift {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// A number below `bound`, which is not zero.
        fn below(&mut self, bound: usize) -> usize {
            usize::try_from(self.next() >> 33).unwrap() % bound
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the corpus is files; the crate itself reads none")]
    fn corpus() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "req"));
        // The order of a directory is the file system's.
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).filter(|input| input.len() <= MAX_INPUT).collect()
    }

    fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut XorShift) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 if at < input.len() => input[at] = u8::try_from(random.below(256)).unwrap(),
            1 if at < input.len() => input[at] ^= 1 << random.below(8),
            2 if at < input.len() => {
                input.remove(at);
            }
            3 => input.truncate(at),
            4 => {
                let other = &corpus[random.below(corpus.len())];
                input.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            5 => {
                let end = (at + random.below(40)).min(input.len());
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
        }
        input.truncate(MAX_INPUT);
    }

    /// What must hold of every outcome, whatever the input.
    fn check(outcome: &Outcome, input: &[u8], limits: Limits) {
        assert!(outcome.released <= input.len());
        for head in outcome.heads() {
            assert!(head.len <= limits.max_head_bytes() && head.fields <= limits.max_headers());
            assert!(head.target.len() <= limits.max_target_bytes());
            if let (BodyKind::Length(length), Some(max)) = (head.body, limits.max_body_bytes()) {
                assert!(length <= max);
            }
        }
        let finals = outcome.events.iter().filter(|event| matches!(event, Event::Violation(_) | Event::Closed)).count();
        assert!(finals <= 1);
    }

    #[test]
    fn mutated_corpus_never_breaks_the_machine() {
        let corpus = corpus();
        let mut random = XorShift(SEED);
        let limits = [
            Limits::default(),
            Limits::new(256, 4, 24).unwrap().with_max_body_bytes(Some(16)),
            Limits::new(300, 8, 100).unwrap(),
        ];
        let mut refused = 0;
        for round in 0..ROUNDS {
            let mut input = corpus[random.below(corpus.len())].clone();
            for _ in 0..=random.below(3) {
                mutate(&mut input, &corpus, &mut random);
            }
            let limits = limits[random.below(limits.len())];
            let at_once = whole(&input, limits);
            check(&at_once, &input, limits);
            let mut cuts: Vec<_> = (0..random.below(5)).map(|_| random.below(input.len() + 1)).collect();
            cuts.sort_unstable();
            let shown = || String::from_utf8_lossy(&input).into_owned();
            assert_eq!(drive(&input, limits, cuts), at_once, "round {round}: {:?}", shown());
            if round % 8 == 0 {
                assert_eq!(byte_by_byte(&input, limits), at_once, "round {round}: {:?}", shown());
            }
            refused += usize::from(at_once.violation().is_some());
        }
        // A run in which nothing or everything is refused tests nothing.
        assert!((ROUNDS / 10..ROUNDS * 99 / 100).contains(&refused), "{refused}");
    }
}
