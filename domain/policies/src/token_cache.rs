//! Tokens whose signature has been verified, so that it need not be verified again on the next request.
//!
//! Always: an entry is found by a keyed hash and compared in full, per generation of the verification keys; it says that the
//! signature holds and what the claims are, and nothing about time, issuer, audience or routes: those are decided on every
//! request. Bounded in entries and bytes. A token that failed is never remembered: junk cannot push out what is in use. Not
//! here: locks; a cache belongs to one worker.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::TokenFacts;
use crate::sip::{HashKey, PassThrough, Sip};

/// Bytes that an entry costs beside the text it holds, roughly: its slot, its place in the index, two allocations.
const ENTRY_OVERHEAD: usize = 192;

/// The verified tokens of one worker.
pub struct TokenCache {
    key: HashKey,
    index: HashMap<u64, usize, PassThrough>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Where the search for an entry to give up goes on.
    hand: usize,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

struct Slot {
    hash: u64,
    generation: u64,
    token: Box<str>,
    facts: Arc<TokenFacts>,
    cost: usize,
    /// Whether it was found since the hand last passed.
    used: bool,
}

impl TokenCache {
    /// An empty cache for at most `max_entries` tokens that cost at most `max_bytes` together.
    pub fn new(key: HashKey, max_entries: usize, max_bytes: usize) -> Self {
        Self {
            key,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    /// What a token says whose signature was verified under this generation of keys.
    pub fn get(&mut self, generation: u64, token: &str) -> Option<Arc<TokenFacts>> {
        let at = *self.index.get(&self.hash(generation, token))?;
        let slot = self.slots.get_mut(at)?.as_mut()?;
        if slot.generation != generation || *slot.token != *token {
            return None;
        }
        slot.used = true;
        Some(Arc::clone(&slot.facts))
    }

    /// Remembers a token whose signature was verified under this generation of keys. One that would take more than a
    /// sixteenth of the room is not kept.
    pub fn insert(&mut self, generation: u64, token: &str, facts: Arc<TokenFacts>) {
        let cost = cost_of(token, &facts);
        if self.max_entries == 0 || cost > self.max_bytes / 16 {
            return;
        }
        let hash = self.hash(generation, token);
        if let Some(&at) = self.index.get(&hash) {
            self.vacate(at);
        }
        while self.index.len() >= self.max_entries || self.bytes + cost > self.max_bytes {
            if !self.evict_one() {
                return;
            }
        }
        let slot = Slot { hash, generation, token: token.into(), facts, cost, used: false };
        let at = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(at) {
            Some(place) => *place = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.index.insert(hash, at);
        self.bytes += cost;
    }

    /// Forgets everything: the keys have changed.
    pub fn clear(&mut self) {
        self.index.clear();
        self.slots.clear();
        self.free.clear();
        self.hand = 0;
        self.bytes = 0;
    }

    /// Tokens remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What they cost together, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn hash(&self, generation: u64, token: &str) -> u64 {
        // One round per word: nobody sees the value, and it is followed by a comparison in full.
        let mut sip = Sip::<1, 3>::new(&self.key);
        sip.write(&generation.to_le_bytes());
        sip.write(token.as_bytes());
        sip.finish().0
    }

    /// Second chance: the hand passes over what was used since its last visit. Two rounds at most; `false` when there is
    /// nothing to give up.
    fn evict_one(&mut self) -> bool {
        for _ in 0..=2 * self.slots.len() {
            let at = if self.hand < self.slots.len() { self.hand } else { 0 };
            self.hand = at + 1;
            match self.slots.get_mut(at) {
                Some(Some(slot)) if slot.used => slot.used = false,
                Some(Some(_)) => {
                    self.vacate(at);
                    return true;
                }
                Some(None) | None => {}
            }
        }
        false
    }

    fn vacate(&mut self, at: usize) {
        if let Some(slot) = self.slots.get_mut(at).and_then(Option::take) {
            self.index.remove(&slot.hash);
            self.bytes -= slot.cost;
            self.free.push(at);
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenCache")
            .field("entries", &self.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

fn cost_of(token: &str, facts: &TokenFacts) -> usize {
    let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    let audiences: usize = facts.audiences.iter().map(|audience| audience.len() + size_of::<Box<str>>()).sum();
    ENTRY_OVERHEAD + token.len() + text(&facts.subject) + text(&facts.issuer) + audiences
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cache(max_entries: usize, max_bytes: usize) -> TokenCache {
        TokenCache::new(HashKey::from_entropy([1; 16]), max_entries, max_bytes)
    }

    fn facts(subject: &str) -> Arc<TokenFacts> {
        Arc::new(TokenFacts {
            subject: Some(subject.into()),
            expires_at: None,
            not_before: None,
            issuer: None,
            audiences: Box::default(),
        })
    }

    #[test]
    fn a_token_is_found_under_the_generation_it_was_verified_with_and_no_other() {
        let mut cache = cache(10, 100_000);
        cache.insert(1, "a.b.c", facts("ada"));
        assert_eq!(cache.get(1, "a.b.c").unwrap().subject.as_deref(), Some("ada"));
        assert!(cache.get(2, "a.b.c").is_none());
        assert!(cache.get(1, "a.b.d").is_none());
        cache.clear();
        assert!(cache.get(1, "a.b.c").is_none() && cache.is_empty() && cache.bytes() == 0);
    }

    #[test]
    fn two_tokens_with_one_hash_are_never_taken_for_each_other() {
        let mut cache = cache(10, 100_000);
        cache.insert(1, "a.b.c", facts("ada"));
        // A collision cannot be computed without the key, so one is made by hand.
        let (colliding, at) = (cache.hash(1, "x.y.z"), cache.index[&cache.hash(1, "a.b.c")]);
        cache.index.insert(colliding, at);
        assert!(cache.get(1, "x.y.z").is_none());
    }

    #[test]
    fn a_token_in_use_outlives_those_that_are_not() {
        let mut cache = cache(4, 100_000);
        cache.insert(1, "busy", facts("ada"));
        for number in 0..100 {
            assert!(cache.get(1, "busy").is_some(), "round {number}");
            cache.insert(1, &format!("idle {number}"), facts("x"));
        }
        assert_eq!(cache.len(), 4);
    }

    #[test]
    fn huge_tokens_are_not_kept_and_a_cache_of_nothing_keeps_nothing() {
        let mut small = cache(10, 16_000);
        small.insert(1, &"x".repeat(2000), facts("ada"));
        let mut none = cache(0, 100_000);
        none.insert(1, "a", facts("ada"));
        assert!(small.is_empty() && none.is_empty());
    }

    #[test]
    fn no_token_ever_prints() {
        let mut cache = cache(10, 100_000);
        cache.insert(1, "CANARY", facts("CANARY"));
        assert!(!format!("{cache:?}").contains("CANARY"));
    }

    proptest! {
        #[test]
        fn both_bounds_hold_and_only_what_was_inserted_is_found(
            steps in proptest::collection::vec((0_u64..3, 0_usize..40, 0_usize..600, any::<bool>()), 1..300),
        ) {
            let mut cache = cache(8, 8_000);
            let mut inserted = std::collections::HashSet::new();
            for (generation, name, length, write) in steps {
                let token = format!("{name}{}", ".".repeat(length));
                if write {
                    cache.insert(generation, &token, facts(&token));
                    inserted.insert((generation, token));
                } else if let Some(found) = cache.get(generation, &token) {
                    prop_assert_eq!(found.subject.as_deref(), Some(token.as_str()));
                    prop_assert!(inserted.contains(&(generation, token)));
                }
                prop_assert!(cache.len() <= 8 && cache.bytes() <= 8_000);
            }
        }
    }
}
