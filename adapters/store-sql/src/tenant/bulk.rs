//! Many rows of one table at once.
//!
//! Always: values are parameters, and few statement texts are prepared whatever the number of rows: on PostgreSQL one, whose
//! parameters are a column each; on SQLite a few sizes of lists. Not here: which rows.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, Query};
use uuid::Uuid;

use crate::error::StoreError;
use crate::placement::{Arrays, TenantTx};
use crate::values::batches;

/// A column with the values of all rows, in the order of the rows.
pub(crate) enum Column {
    /// Ids.
    Ids(Vec<Option<Uuid>>),
    /// Numbers.
    Numbers(Vec<Option<i64>>),
    /// Texts.
    Texts(Vec<Option<String>>),
}

impl Column {
    /// Ids that are all there.
    pub(crate) fn ids(values: impl Iterator<Item = Uuid>) -> Self {
        Self::Ids(values.map(Some).collect())
    }

    /// Numbers that are all there.
    pub(crate) fn numbers(values: impl Iterator<Item = i64>) -> Self {
        Self::Numbers(values.map(Some).collect())
    }

    /// Texts that are all there.
    pub(crate) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        Self::Texts(values.map(|text| Some(text.to_owned())).collect())
    }

    const fn array_type(&self) -> &'static str {
        match self {
            Self::Ids(_) => "uuid[]",
            Self::Numbers(_) => "bigint[]",
            Self::Texts(_) => "text[]",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Ids(values) => values.len(),
            Self::Numbers(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    fn value(&self, row: usize) -> Expr {
        match self {
            Self::Ids(values) => values.get(row).copied().flatten().into(),
            Self::Numbers(values) => values.get(row).copied().flatten().into(),
            Self::Texts(values) => values.get(row).cloned().flatten().into(),
        }
    }

    fn add_to(self, arrays: &mut Arrays) -> Result<(), StoreError> {
        match self {
            Self::Ids(values) => arrays.ids(values),
            Self::Numbers(values) => arrays.numbers(values),
            Self::Texts(values) => arrays.texts(values),
        }
    }
}

/// Adds rows.
pub(crate) async fn insert(
    tx: &TenantTx,
    table: &'static str,
    columns: Vec<(&'static str, Column)>,
) -> Result<(), StoreError> {
    let rows = columns.first().map_or(0, |(_, column)| column.len());
    if rows == 0 {
        return Ok(());
    }
    if columns.iter().any(|(_, column)| column.len() != rows) {
        return Err(StoreError::Misuse("columns of different lengths"));
    }
    if !tx.takes_arrays() {
        return insert_lists(tx, table, &columns, rows).await;
    }
    let sql = array_text(table, &columns);
    let mut arrays = Arrays::default();
    for (_, column) in columns {
        column.add_to(&mut arrays)?;
    }
    tx.execute_arrays(&sql, arrays).await
}

fn array_text(table: &str, columns: &[(&'static str, Column)]) -> String {
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let types = (1..).zip(columns).map(|(number, (_, column))| format!("${number}::{}", column.array_type()));
    let types: Vec<String> = types.collect();
    format!("INSERT INTO \"{table}\" ({}) SELECT * FROM unnest({})", names.join(", "), types.join(", "))
}

async fn insert_lists(
    tx: &TenantTx,
    table: &'static str,
    columns: &[(&'static str, Column)],
    rows: usize,
) -> Result<(), StoreError> {
    let rows: Vec<usize> = (0..rows).collect();
    for batch in batches(&rows) {
        let mut insert = Query::insert();
        insert.into_table(table).columns(columns.iter().map(|(name, _)| *name));
        for &row in batch {
            let values = columns.iter().map(|(_, column)| column.value(row));
            insert.values(values).map_err(|_| StoreError::Misuse("a row has a wrong number of columns"))?;
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_depends_on_the_columns_only() {
        let columns = |rows: i64| {
            vec![
                ("id", Column::ids((0..rows).map(|_| Uuid::nil()))),
                ("at", Column::numbers(0..rows)),
                ("code", Column::texts((0..rows).map(|_| "x"))),
            ]
        };
        let text = array_text("t", &columns(1));
        assert_eq!(
            text,
            r#"INSERT INTO "t" ("id", "at", "code") SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])"#
        );
        assert_eq!(array_text("t", &columns(1_000)), text);
    }
}
