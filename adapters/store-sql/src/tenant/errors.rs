//! Stored error events.

use novagate_kernel::{ErrorCode, LogId, NodeId, RequestId, RouteId, ServiceId, Timestamp};
use novagate_ports_control::outbound::{ErrorRow, TelemetryBatch};
use novagate_ports_control::{Page, PageRequest};
use novagate_records::ErrorEvent;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder as _, QuerySelect as _};

use super::bulk;
use super::row_ids::RowIds;
use crate::error::{CorruptRow, StoreError};
use crate::pages;
use crate::placement::TenantTx;
use crate::values::Place;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "error_events")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    at: i64,
    node_id: Uuid,
    code: String,
    route_id: Option<Uuid>,
    service_id: Option<Uuid>,
    request_id: Uuid,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which events are wanted; all that are given must hold.
pub(crate) struct ErrorFilter {
    /// Not before.
    pub(crate) from: Option<Timestamp>,
    /// Before.
    pub(crate) to: Option<Timestamp>,
    /// At this service.
    pub(crate) service: Option<ServiceId>,
}

/// Adds the events of a batch.
pub(crate) async fn insert(tx: &TenantTx, source: &TelemetryBatch, events: &[ErrorEvent]) -> Result<(), StoreError> {
    let mut ids = RowIds::of(source.boot, source.batch_seq);
    let rows: Vec<Model> = events.iter().map(|event| row(ids.next(event.at), source.node, event)).collect();
    let columns = vec![
        ("id", bulk::Column::ids(rows.iter().map(|row| row.id))),
        ("at", bulk::Column::numbers(rows.iter().map(|row| row.at))),
        ("node_id", bulk::Column::ids(rows.iter().map(|row| row.node_id))),
        ("code", bulk::Column::texts(rows.iter().map(|row| row.code.as_str()))),
        ("route_id", bulk::Column::Ids(rows.iter().map(|row| row.route_id).collect())),
        ("service_id", bulk::Column::Ids(rows.iter().map(|row| row.service_id).collect())),
        ("request_id", bulk::Column::ids(rows.iter().map(|row| row.request_id))),
    ];
    bulk::insert(tx, "error_events", columns).await
}

/// Events, newest first.
pub(crate) async fn list(
    tx: &TenantTx,
    filter: &ErrorFilter,
    page: &PageRequest,
) -> Result<Page<ErrorRow>, StoreError> {
    let condition = Condition::all()
        .add_option(filter.from.map(|from| Column::At.gte(from.as_micros())))
        .add_option(filter.to.map(|to| Column::At.lt(to.as_micros())))
        .add_option(filter.service.map(|service| Column::ServiceId.eq(service.as_uuid())));
    let mut find = Entity::find().filter(condition).order_by_desc(Column::At).order_by_desc(Column::Id);
    if let Some(after) = &page.after {
        find = find.filter(pages::before(Column::At, Column::Id, after)?);
    }
    let rows = find.limit(pages::probe(page)?).all(tx).await?;
    let page = pages::cut(rows, page, |row| pages::time_and_id(row.at, row.id));
    Ok(pages::try_map(page, ErrorRow::try_from)?)
}

fn row(id: LogId, node: NodeId, event: &ErrorEvent) -> Model {
    Model {
        id: id.as_uuid(),
        at: event.at.as_micros(),
        node_id: node.as_uuid(),
        code: event.code.as_str().to_owned(),
        route_id: event.route.map(RouteId::as_uuid),
        service_id: event.service.map(ServiceId::as_uuid),
        request_id: event.request_id.as_uuid(),
    }
}

impl TryFrom<Model> for ErrorRow {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("error_events", &row.id);
        let event = ErrorEvent {
            at: Timestamp::from_micros(row.at),
            code: place.word("code", ErrorCode::parse(&row.code))?,
            route: row.route_id.map(RouteId::from_uuid),
            service: row.service_id.map(ServiceId::from_uuid),
            request_id: RequestId::from_uuid(row.request_id),
        };
        Ok(Self { id: LogId::from_uuid(row.id), node: NodeId::from_uuid(row.node_id), event })
    }
}
