//! One step of a list of migrations: a name and the statements that make it, rendered for a backend.
//!
//! Always: the statements are the only source of the tables. A migrator executes them, and on PostgreSQL the function that
//! makes a new tenant's schema is written from them. Not here: which steps there are.

use sea_orm_migration::prelude::{IndexCreateStatement, TableAlterStatement, TableCreateStatement, TableRef};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

/// A step that is released is never changed, only followed.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    name: &'static str,
    statements: fn(&mut Statements),
    optional: bool,
}

impl Step {
    /// A step that this version of the programs needs.
    pub(crate) const fn needed(name: &'static str, statements: fn(&mut Statements)) -> Self {
        Self { name, statements, optional: false }
    }

    /// What the ledger calls it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this version of the programs works with tables that lack it.
    pub const fn is_optional(&self) -> bool {
        self.optional
    }

    /// Its statements for a backend, in order.
    pub fn statements(&self, backend: DbBackend) -> Vec<String> {
        self.collect(backend).rendered
    }

    /// The tables that it makes on a backend.
    pub fn tables(&self, backend: DbBackend) -> Vec<String> {
        self.collect(backend).tables
    }

    fn collect(&self, backend: DbBackend) -> Statements {
        let mut collected = Statements { backend, rendered: Vec::new(), tables: Vec::new() };
        (self.statements)(&mut collected);
        collected
    }
}

/// Collects the statements of a step.
pub(crate) struct Statements {
    backend: DbBackend,
    rendered: Vec<String>,
    tables: Vec<String>,
}

impl Statements {
    /// Whether tables can be divided into partitions.
    pub(crate) const fn has_partitions(&self) -> bool {
        matches!(self.backend, DbBackend::Postgres)
    }

    /// Makes a table.
    pub(crate) fn table(&mut self, table: &TableCreateStatement) {
        self.rendered.push(self.backend.build(table).sql);
        if let Some(TableRef::Table(name, _)) = table.get_table_name() {
            self.tables.push(name.1.to_string());
        }
    }

    /// Changes a table.
    pub(crate) fn change(&mut self, table: &TableAlterStatement) {
        self.rendered.push(self.backend.build(table).sql);
    }

    /// Makes an index.
    pub(crate) fn index(&mut self, index: &IndexCreateStatement) {
        self.rendered.push(self.backend.build(index).sql);
    }
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait]
impl MigrationTrait for Step {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in self.statements(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
