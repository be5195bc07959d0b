//! Keyset pages over lists in memory.

use std::cmp::Ordering;

use novagate_kernel::Timestamp;
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::{Cursor, Page, PageRequest};

/// Where an item stands in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    first: i64,
    second: u128,
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    /// The smallest position.
    Ascending,
    /// The greatest position.
    Descending,
}

/// Why a page request is none.
#[derive(Debug, thiserror::Error)]
enum BadRequest {
    #[error("not a cursor of this list")]
    Cursor,
    #[error("a page has 1 to {} items", PageRequest::MAX_LIMIT)]
    Limit,
}

impl Position {
    /// By time, then by what tells items of one time apart.
    pub(crate) const fn of(at: Timestamp, id: u128) -> Self {
        Self { first: at.as_micros(), second: id }
    }

    /// By id alone.
    pub(crate) const fn of_id(id: u128) -> Self {
        Self { first: 0, second: id }
    }

    fn cursor(self) -> Cursor {
        Cursor::new(format!("{}.{:032x}", self.first, self.second))
    }

    fn parse(cursor: &Cursor) -> Result<Self, BadRequest> {
        let (first, second) = cursor.as_str().split_once('.').ok_or(BadRequest::Cursor)?;
        let first = first.parse().map_err(|_| BadRequest::Cursor)?;
        let second = u128::from_str_radix(second, 16).map_err(|_| BadRequest::Cursor)?;
        let position = Self { first, second };
        // One spelling only: nothing is read that was not written here.
        if position.cursor() == *cursor { Ok(position) } else { Err(BadRequest::Cursor) }
    }
}

impl Direction {
    fn compare(self, left: Position, right: Position) -> Ordering {
        match self {
            Self::Ascending => left.cmp(&right),
            Self::Descending => right.cmp(&left),
        }
    }
}

/// Checks a request without answering it: for lists of tenants that are gone.
pub(crate) fn check(op: &'static str, request: &PageRequest) -> Result<(), PortError> {
    read(request).map(drop).map_err(PortError::wrap(op, FaultKind::Misuse))
}

fn read(request: &PageRequest) -> Result<Option<Position>, BadRequest> {
    if !(1..=PageRequest::MAX_LIMIT).contains(&request.limit) {
        return Err(BadRequest::Limit);
    }
    request.after.as_ref().map(Position::parse).transpose()
}

/// The requested part of a list whose items are given in any order.
pub(crate) fn page_of<'a, T: Clone + 'a>(
    op: &'static str,
    items: impl Iterator<Item = &'a T>,
    direction: Direction,
    position: impl Fn(&T) -> Position,
    request: &PageRequest,
) -> Result<Page<T>, PortError> {
    let after = read(request).map_err(PortError::wrap(op, FaultKind::Misuse))?;
    let follows = |at: Position| after.is_none_or(|after| direction.compare(after, at) == Ordering::Less);
    let mut items: Vec<(Position, &T)> =
        items.map(|item| (position(item), item)).filter(|&(at, _)| follows(at)).collect();
    items.sort_by(|left, right| direction.compare(left.0, right.0));
    let limit = usize::from(request.limit);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|(at, _)| at.cursor());
    Ok(Page { items: items.into_iter().map(|(_, item)| item.clone()).collect(), next })
}
