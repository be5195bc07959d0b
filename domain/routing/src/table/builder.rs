//! Making a table.
//!
//! Decides which sets of routes make a table: none of two routes claims the same requests with the same specificity.
//! Always: the result depends on the set of routes, not on their order (only the indexes do). Not here: the fields of a
//! route (`config`), the order of matches (`trie`).

use novagate_kernel::Name;

use super::conflict::{self, Conflict};
use super::draft::{Draft, TableFull};
use super::rank::Rank;
use super::{Entry, RouteIndex, RouteTable, freeze, shadow, work};
use crate::{EncodedSlashes, RouteMatch};

/// Collects routes for a [`RouteTable`].
#[derive(Debug)]
pub struct RouteTableBuilder<T> {
    draft: Draft,
    entries: Vec<Entry>,
    values: Vec<T>,
}

impl<T> RouteTableBuilder<T> {
    /// No routes yet.
    pub fn new() -> Self {
        Self { draft: Draft::new(), entries: Vec::new(), values: Vec::new() }
    }

    /// Adds a route; `name` stands for it in conflicts and warnings. Its index is the number of routes before it. A route
    /// that does not fit is not added.
    pub fn insert(
        &mut self,
        name: Name,
        matcher: &RouteMatch,
        encoded_slashes: EncodedSlashes,
        value: T,
    ) -> Result<RouteIndex, TableFull> {
        let number = u32::try_from(self.entries.len()).map_err(|_| TableFull::Memory)?;
        self.draft.add(number, matcher)?;
        let pattern = matcher.path.clone();
        let prefix_len = if pattern.is_prefix() { pattern.literal_prefix_len() } else { 0 };
        let methods = matcher.methods.as_slice().into();
        let conditions = matcher.conditions.as_slice().into();
        let rank = Rank::of(matcher);
        self.entries.push(Entry { name, pattern, methods, conditions, rank, encoded_slashes, prefix_len });
        self.values.push(value);
        Ok(RouteIndex(number))
    }

    /// The table, or the pairs of routes that keep it from being one: sorted by name, at most
    /// [`super::MAX_CONFLICTS`].
    pub fn build(self) -> Result<RouteTable<T>, Vec<Conflict>> {
        let Self { draft, entries, values } = self;
        let conflicts = conflict::find(&draft, &entries);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut warnings = shadow::warnings(&draft, &entries);
        let steps = work::most_steps(&draft);
        warnings.extend(work::warning(steps));
        let trie = freeze::freeze(&draft, &entries);
        let decodes = entries.iter().any(|entry| entry.encoded_slashes == EncodedSlashes::Decode);
        Ok(RouteTable { trie, values: values.into(), entries: entries.into(), decodes, warnings, steps })
    }
}

impl<T> Default for RouteTableBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}
