//! What nodes report: requests, errors, health, counts, and how far each node's batches have been taken.

use sea_orm_migration::prelude::{ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement};

use crate::columns::{hash_null, id, id_null, index, number, number_null, text, text_null};
use crate::step::{Statements, Step};

/// Requests per status class, `1xx` to `5xx`.
const CLASSES: [&str; 5] = ["class_1", "class_2", "class_3", "class_4", "class_5"];

/// Requests per latency cell.
const CELLS: [&str; 18] = [
    "cell_0", "cell_1", "cell_2", "cell_3", "cell_4", "cell_5", "cell_6", "cell_7", "cell_8", "cell_9", "cell_10",
    "cell_11", "cell_12", "cell_13", "cell_14", "cell_15", "cell_16", "cell_17",
];

/// A day of a table whose rows carry the time of their event.
const BY_DAY: &str = r#"PARTITION BY RANGE ("at")"#;

/// A day of a table whose rows carry the time their window begins.
const BY_DAY_OF_WINDOW: &str = r#"PARTITION BY RANGE ("from_at")"#;

pub(super) const STEP: Step = Step::needed("m0002_telemetry", |statements| {
    create_request_logs(statements);
    create_error_events(statements);
    create_health_snapshots(statements);
    create_metrics_windows(statements);
    create_cursors(statements);
});

/// The id of a row that has a time too.
fn row_id(statements: &Statements) -> ColumnDef {
    let mut column = id("id");
    if !statements.has_partitions() {
        column.primary_key();
    }
    column
}

/// Makes a table of rows with `id` and `at`. The key of a partitioned table holds what it is divided by, which makes the
/// index over time superfluous.
fn create_timed(statements: &mut Statements, mut table: TableCreateStatement, by_time: &IndexCreateStatement) {
    if statements.has_partitions() {
        table.primary_key(Index::create().col("at").col("id")).extra(BY_DAY);
        statements.table(&table);
    } else {
        statements.table(&table);
        statements.index(by_time);
    }
}

fn create_request_logs(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("request_logs")
        .col(row_id(statements))
        .col(number("at"))
        .col(id("request_id"))
        .col(text("method"))
        .col(text_null("template"))
        .col(id_null("route_id"))
        .col(text_null("service"))
        .col(number("status"))
        .col(number("latency_us"))
        .col(number_null("upstream_us"))
        .col(id_null("consumer_id"))
        .col(id("node_id"))
        .col(text_null("code"));
    create_timed(statements, table, &index("request_logs_at", "request_logs", &["at", "id"]));
    statements.index(&index("request_logs_route", "request_logs", &["route_id", "at", "id"]));
    statements.index(&index("request_logs_request", "request_logs", &["request_id"]));
}

fn create_error_events(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("error_events")
        .col(row_id(statements))
        .col(number("at"))
        .col(id("node_id"))
        .col(text("code"))
        .col(id_null("route_id"))
        .col(id_null("service_id"))
        .col(id("request_id"));
    create_timed(statements, table, &index("error_events_at", "error_events", &["at", "id"]));
    statements.index(&index("error_events_service", "error_events", &["service_id", "at", "id"]));
}

/// The newest report of each node.
fn create_health_snapshots(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("health_snapshots")
        .col(id("node_id").primary_key())
        .col(number("at"))
        .col(number("uptime_us"))
        .col(number_null("serving_epoch"))
        .col(number_null("serving_seq"))
        .col(hash_null("serving_digest"))
        .col(number("active_connections"))
        .col(number("dropped"))
        .col(text("services"));
    statements.table(&table);
}

/// Counts of one route in one window of one node; `route_id` is empty for requests that matched no route.
fn create_metrics_windows(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("metrics_windows")
        .col(id("boot_id"))
        .col(number("batch_seq"))
        .col(number("position"))
        .col(number("from_at"))
        .col(number("to_at"))
        .col(id("node_id"))
        .col(id_null("route_id"))
        .col(id_null("service_id"))
        .col(number("latency_sum_us"));
    for name in CLASSES.into_iter().chain(CELLS) {
        table.col(number(name));
    }
    let mut key = Index::create();
    key.col("boot_id").col("batch_seq").col("position");
    if statements.has_partitions() {
        key.col("from_at");
        table.extra(BY_DAY_OF_WINDOW);
    }
    table.primary_key(&mut key);
    statements.table(&table);
    statements.index(&index("metrics_windows_from", "metrics_windows", &["from_at"]));
}

/// How far the batches of one run of a node have been taken: all up to `upto`, and those listed in `beyond`.
fn create_cursors(statements: &mut Statements) {
    let mut table = Table::create();
    table
        .table("telemetry_cursors")
        .col(id("boot_id").primary_key())
        .col(id("node_id"))
        .col(number("upto"))
        .col(text("beyond"));
    statements.table(&table);
}
