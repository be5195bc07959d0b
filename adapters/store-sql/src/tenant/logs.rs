//! Stored requests.

use novagate_kernel::{ConsumerId, ErrorCode, LogId, NodeId, RequestId, RouteId, Timestamp};
use novagate_ports_control::outbound::{LogFilter, LogRow, TelemetryBatch};
use novagate_ports_control::{Page, PageRequest};
use novagate_records::{LogBatch, LogEntry, MethodLabel};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder as _, QuerySelect as _};

use super::bulk;
use super::row_ids::RowIds;
use crate::error::{CorruptRow, StoreError};
use crate::pages;
use crate::placement::TenantTx;
use crate::values::Place;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "request_logs")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    at: i64,
    request_id: Uuid,
    method: String,
    template: Option<String>,
    route_id: Option<Uuid>,
    service: Option<String>,
    status: i64,
    latency_us: i64,
    upstream_us: Option<i64>,
    consumer_id: Option<Uuid>,
    node_id: Uuid,
    code: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds the requests of a batch.
pub(crate) async fn insert(tx: &TenantTx, source: &TelemetryBatch, logs: &LogBatch) -> Result<(), StoreError> {
    let mut ids = RowIds::of(source.boot, source.batch_seq);
    let rows: Vec<Model> =
        logs.entries.iter().map(|entry| row(ids.next(entry.at), source.node, logs, entry)).collect::<Result<_, _>>()?;
    let columns = vec![
        ("id", bulk::Column::ids(rows.iter().map(|row| row.id))),
        ("at", bulk::Column::numbers(rows.iter().map(|row| row.at))),
        ("request_id", bulk::Column::ids(rows.iter().map(|row| row.request_id))),
        ("method", bulk::Column::texts(rows.iter().map(|row| row.method.as_str()))),
        ("template", bulk::Column::Texts(rows.iter().map(|row| row.template.clone()).collect())),
        ("route_id", bulk::Column::Ids(rows.iter().map(|row| row.route_id).collect())),
        ("service", bulk::Column::Texts(rows.iter().map(|row| row.service.clone()).collect())),
        ("status", bulk::Column::numbers(rows.iter().map(|row| row.status))),
        ("latency_us", bulk::Column::numbers(rows.iter().map(|row| row.latency_us))),
        ("upstream_us", bulk::Column::Numbers(rows.iter().map(|row| row.upstream_us).collect())),
        ("consumer_id", bulk::Column::Ids(rows.iter().map(|row| row.consumer_id).collect())),
        ("node_id", bulk::Column::ids(rows.iter().map(|row| row.node_id))),
        ("code", bulk::Column::Texts(rows.iter().map(|row| row.code.clone()).collect())),
    ];
    bulk::insert(tx, "request_logs", columns).await
}

/// Requests, newest first.
pub(crate) async fn list(tx: &TenantTx, filter: &LogFilter, page: &PageRequest) -> Result<Page<LogRow>, StoreError> {
    let mut find = Entity::find().filter(condition(filter)).order_by_desc(Column::At).order_by_desc(Column::Id);
    if let Some(after) = &page.after {
        find = find.filter(pages::before(Column::At, Column::Id, after)?);
    }
    let rows = find.limit(pages::probe(page)?).all(tx).await?;
    let page = pages::cut(rows, page, |row| pages::time_and_id(row.at, row.id));
    Ok(pages::try_map(page, LogRow::try_from)?)
}

fn condition(filter: &LogFilter) -> Condition {
    let status = filter.status.map(|(low, high)| Column::Status.between(i64::from(low), i64::from(high)));
    Condition::all()
        .add_option(filter.from.map(|from| Column::At.gte(from.as_micros())))
        .add_option(filter.to.map(|to| Column::At.lt(to.as_micros())))
        .add_option(filter.route.map(|route| Column::RouteId.eq(route.as_uuid())))
        .add_option(filter.service.as_ref().map(|service| Column::Service.eq(service.as_str())))
        .add_option(filter.method.map(|method| Column::Method.eq(method.as_str())))
        .add_option(status)
        .add_option(filter.consumer.map(|consumer| Column::ConsumerId.eq(consumer.as_uuid())))
        .add_option(filter.request_id.map(|request_id| Column::RequestId.eq(request_id.as_uuid())))
        .add_option(filter.min_latency_us.map(|latency| Column::LatencyUs.gte(i64::from(latency))))
}

fn row(id: LogId, node: NodeId, logs: &LogBatch, entry: &LogEntry) -> Result<Model, StoreError> {
    let route = match entry.route {
        None => None,
        Some(index) => {
            let found = usize::try_from(index).ok().and_then(|index| logs.routes.get(index));
            Some(found.ok_or(StoreError::Misuse("a log entry points outside its batch's routes"))?)
        }
    };
    Ok(Model {
        id: id.as_uuid(),
        at: entry.at.as_micros(),
        request_id: entry.request_id.as_uuid(),
        method: entry.method.as_str().to_owned(),
        template: route.map(|route| route.template.as_ref().to_owned()),
        route_id: route.map(|route| route.id.as_uuid()),
        service: route.and_then(|route| route.service.as_ref()).map(|service| service.as_str().to_owned()),
        status: i64::from(entry.status),
        latency_us: i64::from(entry.latency_us),
        upstream_us: entry.upstream_us.map(i64::from),
        consumer_id: entry.consumer.map(ConsumerId::as_uuid),
        node_id: node.as_uuid(),
        code: entry.code.map(|code| code.as_str().to_owned()),
    })
}

impl TryFrom<Model> for LogRow {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("request_logs", &row.id);
        Ok(Self {
            id: LogId::from_uuid(row.id),
            at: Timestamp::from_micros(row.at),
            request_id: RequestId::from_uuid(row.request_id),
            method: MethodLabel::of(&row.method),
            route: row.route_id.map(RouteId::from_uuid),
            service: row.service.as_deref().map(|service| place.name("service", service)).transpose()?,
            status: place.small("status", row.status)?,
            latency_us: place.small("latency_us", row.latency_us)?,
            upstream_us: row.upstream_us.map(|upstream| place.small("upstream_us", upstream)).transpose()?,
            consumer: row.consumer_id.map(ConsumerId::from_uuid),
            node: NodeId::from_uuid(row.node_id),
            code: row.code.as_deref().map(|code| place.word("code", ErrorCode::parse(code))).transpose()?,
            template: row.template,
        })
    }
}
