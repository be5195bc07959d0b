//! The column types that every backend keeps alike. Not here: which table has which column.

use sea_orm_migration::prelude::{ColumnDef, Expr, ExprTrait, Index, IndexCreateStatement};

/// An id.
pub(crate) fn id(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.uuid().not_null();
    column
}

/// An id that may be absent.
pub(crate) fn id_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.uuid();
    column
}

/// A text.
pub(crate) fn text(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.text().not_null();
    column
}

/// A text that may be absent.
pub(crate) fn text_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.text();
    column
}

/// One of a closed list of words.
pub(crate) fn word(name: &'static str, words: &[&'static str]) -> ColumnDef {
    let mut column = text(name);
    column.check(Expr::col(name).is_in(words.iter().copied()));
    column
}

/// One of a closed list of words, or nothing.
pub(crate) fn word_null(name: &'static str, words: &[&'static str]) -> ColumnDef {
    let mut column = text_null(name);
    column.check(Expr::col(name).is_in(words.iter().copied()));
    column
}

/// A 64-bit number: a count, a sequence number, a duration or a time in microseconds.
pub(crate) fn number(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null();
    column
}

/// A 64-bit number that may be absent.
pub(crate) fn number_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer();
    column
}

/// A SHA-256 value.
pub(crate) fn hash(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.blob().not_null();
    column
}

/// A SHA-256 value that may be absent.
pub(crate) fn hash_null(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.blob();
    column
}

/// An index over `columns`.
pub(crate) fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut statement = Index::create();
    statement.name(name).table(table);
    for &column in columns {
        statement.col(column);
    }
    statement
}

/// A unique index over `columns`.
pub(crate) fn unique_index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut statement = index(name, table, columns);
    statement.unique();
    statement
}
