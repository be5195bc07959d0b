//! Keyset pages: one row more than wanted is read, and the last row given is where the next page begins.

use novagate_ports_control::{Cursor, Page, PageRequest};
use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use uuid::Uuid;

use crate::error::StoreError;

/// A page that cannot be: no limit, a limit above the largest, or a cursor of somebody else's making.
#[derive(Debug)]
pub(crate) struct BadPage;

impl From<BadPage> for StoreError {
    fn from(_: BadPage) -> Self {
        Self::Misuse("a page has a limit outside 1 to 500 or a cursor that this store did not make")
    }
}

/// How many rows to read.
pub(crate) fn probe(page: &PageRequest) -> Result<u64, BadPage> {
    if page.limit == 0 || page.limit > PageRequest::MAX_LIMIT { Err(BadPage) } else { Ok(u64::from(page.limit) + 1) }
}

/// The page out of the rows that were read.
pub(crate) fn cut<T>(mut rows: Vec<T>, page: &PageRequest, position: impl FnOnce(&T) -> Cursor) -> Page<T> {
    let limit = usize::from(page.limit);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(position) } else { None };
    Page { items: rows, next }
}

/// The same page of other items.
pub(crate) fn try_map<T, U, E>(page: Page<T>, convert: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
    let items = page.items.into_iter().map(convert).collect::<Result<_, _>>()?;
    Ok(Page { items, next: page.next })
}

/// A position in a list by id.
pub(crate) fn read_id(cursor: &Cursor) -> Result<Uuid, BadPage> {
    Uuid::try_parse(cursor.as_str()).map_err(|_| BadPage)
}

/// A position in a list by number.
pub(crate) fn read_number(cursor: &Cursor) -> Result<i64, BadPage> {
    cursor.as_str().parse().map_err(|_| BadPage)
}

/// A position in a list by time, then id.
pub(crate) fn time_and_id(at: i64, id: Uuid) -> Cursor {
    Cursor::new(format!("{at}.{id}"))
}

/// The opposite of [`time_and_id`].
pub(crate) fn read_time_and_id(cursor: &Cursor) -> Result<(i64, Uuid), BadPage> {
    let (at, id) = cursor.as_str().split_once('.').ok_or(BadPage)?;
    let at: i64 = at.parse().map_err(|_| BadPage)?;
    Ok((at, Uuid::try_parse(id).map_err(|_| BadPage)?))
}

/// The rows after a position in a list by time and id, newest first.
pub(crate) fn before(at: impl ColumnTrait, id: impl ColumnTrait, after: &Cursor) -> Result<Expr, BadPage> {
    let (time, key) = read_time_and_id(after)?;
    Ok(Expr::tuple([Expr::col(at), Expr::col(id)]).lt(Expr::tuple([time.into(), key.into()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_tells_where_the_next_one_begins() {
        let page = cut(vec![1, 2, 3], &PageRequest::first(2), |row| Cursor::new(row.to_string()));
        assert_eq!(page, Page { items: vec![1, 2], next: Some(Cursor::new("2")) });
        let last = cut(vec![3], &PageRequest::first(2), |row| Cursor::new(row.to_string()));
        assert_eq!(last.next, None);
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for text in ["", "1", "x.y", "1.x", "9223372036854775808.00000000-0000-0000-0000-000000000000"] {
            assert!(read_time_and_id(&Cursor::new(text)).is_err(), "{text}");
        }
        let cursor = time_and_id(-5, Uuid::from_u128(9));
        assert_eq!(read_time_and_id(&cursor).unwrap(), (-5, Uuid::from_u128(9)));
    }
}
