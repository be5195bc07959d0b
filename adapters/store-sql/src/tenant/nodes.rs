//! Known gateway nodes.

use std::collections::BTreeMap;

use novagate_kernel::{BootId, GatewayKeyId, Head, NodeId, ObjectKind, ObjectRef, Timestamp};
use novagate_ports_control::outbound::{NodeNack, NodeRecord, NodeSighting};
use novagate_sync::{NackedObject, ObjectFaultCode};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, IntoActiveModel as _, QueryOrder as _, QuerySelect as _};
use serde::{Deserialize, Serialize};

use crate::error::{CorruptRow, StoreError};
use crate::placement::TenantTx;
use crate::values::{Place, key_lists, stored, stored_epoch};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    node_id: Uuid,
    boot_id: Uuid,
    build: String,
    labels: String,
    key_id: Uuid,
    first_seen: i64,
    last_seen: i64,
    applied_epoch: Option<i64>,
    applied_seq: Option<i64>,
    applied_digest: Option<Vec<u8>>,
    applied_at: Option<i64>,
    nack_epoch: Option<i64>,
    nack_seq: Option<i64>,
    nack_at: Option<i64>,
    nack_objects: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A refused object as the column holds it.
#[derive(Serialize, Deserialize)]
struct NackDoc {
    kind: String,
    id: String,
    code: String,
    field: String,
}

/// A node has said hello; `false` when it is unknown and there are `max_nodes` already.
pub(crate) async fn seen(tx: &TenantTx, sighting: &NodeSighting, max_nodes: u32) -> Result<bool, StoreError> {
    let mut known = locked(tx, sighting.node).await?;
    if known.is_none() {
        // Of nodes that say hello for the first time at the same moment one is counted after the other.
        tx.exclude_writers("nodes").await?;
        known = locked(tx, sighting.node).await?;
    }
    if known.is_none() && Entity::find().count(tx).await? >= u64::from(max_nodes) {
        return Ok(false);
    }
    let is_new = known.is_none();
    let at = sighting.at.as_micros();
    let mut row = known.unwrap_or_else(|| blank(sighting.node, at));
    row.boot_id = sighting.boot.as_uuid();
    row.build.clone_from(&sighting.build);
    row.labels = serde_json::to_string(&sighting.labels).map_err(|_| StoreError::Misuse("labels that are not JSON"))?;
    row.key_id = sighting.key.as_uuid();
    row.last_seen = at;
    serve(&mut row, sighting.applied, at)?;
    save(tx, row, is_new).await?;
    Ok(true)
}

/// Nodes serve `head`; unknown ones are left unknown. A refusal of what comes after `head` stands.
pub(crate) async fn applied(tx: &TenantTx, nodes: &[NodeId], head: Head, at: Timestamp) -> Result<(), StoreError> {
    let (epoch, seq) = (stored_epoch(head.revision.epoch), stored(head.revision.seq)?);
    let ids: Vec<Uuid> = nodes.iter().map(|node| node.as_uuid()).collect();
    for list in key_lists(&ids) {
        let serving = Entity::update_many()
            .col_expr(Column::LastSeen, Expr::value(at.as_micros()))
            .col_expr(Column::AppliedEpoch, Expr::value(epoch))
            .col_expr(Column::AppliedSeq, Expr::value(seq))
            .col_expr(Column::AppliedDigest, Expr::value(head.digest.as_bytes().to_vec()))
            .col_expr(Column::AppliedAt, Expr::value(at.as_micros()));
        serving.filter(Column::NodeId.is_in(list.iter().copied())).exec(tx).await?;
        let refusal = Entity::update_many()
            .col_expr(Column::NackEpoch, Expr::value(None::<i64>))
            .col_expr(Column::NackSeq, Expr::value(None::<i64>))
            .col_expr(Column::NackAt, Expr::value(None::<i64>))
            .col_expr(Column::NackObjects, Expr::value(None::<String>));
        let is_settled = Condition::any().add(Column::NackEpoch.ne(epoch)).add(Column::NackSeq.lte(seq));
        refusal.filter(Column::NodeId.is_in(list)).filter(is_settled).exec(tx).await?;
    }
    Ok(())
}

/// A node has refused a revision; an unknown one is left unknown.
pub(crate) async fn nacked(tx: &TenantTx, node: NodeId, nack: &NodeNack) -> Result<(), StoreError> {
    let Some(mut row) = locked(tx, node).await? else { return Ok(()) };
    let objects: Vec<NackDoc> = nack.objects.iter().map(NackDoc::from).collect();
    row.last_seen = nack.at.as_micros();
    row.nack_epoch = Some(stored_epoch(nack.revision.epoch));
    row.nack_seq = Some(stored(nack.revision.seq)?);
    row.nack_at = Some(nack.at.as_micros());
    row.nack_objects =
        Some(serde_json::to_string(&objects).map_err(|_| StoreError::Misuse("a nack that is not JSON"))?);
    save(tx, row, false).await
}

/// All nodes, by first sighting.
pub(crate) async fn list(tx: &TenantTx) -> Result<Vec<NodeRecord>, StoreError> {
    let rows = Entity::find().order_by_asc(Column::FirstSeen).order_by_asc(Column::NodeId).all(tx).await?;
    Ok(rows.into_iter().map(NodeRecord::try_from).collect::<Result<_, _>>()?)
}

/// One node.
pub(crate) async fn find(tx: &TenantTx, node: NodeId) -> Result<Option<NodeRecord>, StoreError> {
    let row = Entity::find_by_id(node.as_uuid()).one(tx).await?;
    Ok(row.map(NodeRecord::try_from).transpose()?)
}

/// Removes a node; `false` when it is unknown.
pub(crate) async fn delete(tx: &TenantTx, node: NodeId) -> Result<bool, StoreError> {
    Ok(Entity::delete_by_id(node.as_uuid()).exec(tx).await?.rows_affected > 0)
}

/// A node's row, which nobody else changes until the transaction ends.
async fn locked(tx: &TenantTx, node: NodeId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(node.as_uuid()).lock_exclusive().one(tx).await?)
}

fn blank(node: NodeId, at: i64) -> Model {
    Model {
        node_id: node.as_uuid(),
        boot_id: Uuid::nil(),
        build: String::new(),
        labels: String::new(),
        key_id: Uuid::nil(),
        first_seen: at,
        last_seen: at,
        applied_epoch: None,
        applied_seq: None,
        applied_digest: None,
        applied_at: None,
        nack_epoch: None,
        nack_seq: None,
        nack_at: None,
        nack_objects: None,
    }
}

/// Writes what a node serves; the time of confirmation stays while it serves the same.
fn serve(row: &mut Model, head: Option<Head>, at: i64) -> Result<(), StoreError> {
    let epoch = head.map(|head| stored_epoch(head.revision.epoch));
    let seq = head.map(|head| stored(head.revision.seq)).transpose()?;
    let digest = head.map(|head| head.digest.as_bytes().to_vec());
    if (row.applied_epoch, row.applied_seq, &row.applied_digest) != (epoch, seq, &digest) {
        row.applied_at = head.map(|_| at);
    }
    (row.applied_epoch, row.applied_seq, row.applied_digest) = (epoch, seq, digest);
    Ok(())
}

async fn save(tx: &TenantTx, row: Model, is_new: bool) -> Result<(), StoreError> {
    if is_new {
        Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    } else {
        Entity::update(row.into_active_model().reset_all()).exec(tx).await?;
    }
    Ok(())
}

impl TryFrom<Model> for NodeRecord {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("nodes", &row.node_id);
        let labels: BTreeMap<String, String> = place.word("labels", serde_json::from_str(&row.labels).ok())?;
        Ok(Self {
            node: NodeId::from_uuid(row.node_id),
            boot: BootId::from_uuid(row.boot_id),
            build: row.build.clone(),
            labels,
            key: GatewayKeyId::from_uuid(row.key_id),
            first_seen: Timestamp::from_micros(row.first_seen),
            last_seen: Timestamp::from_micros(row.last_seen),
            applied: place.head_opt(row.applied_epoch, row.applied_seq, row.applied_digest.as_deref())?,
            applied_at: row.applied_at.map(Timestamp::from_micros),
            nack: nack(place, &row)?,
        })
    }
}

fn nack(place: Place<'_>, row: &Model) -> Result<Option<NodeNack>, CorruptRow> {
    let Some(revision) = place.revision_opt(row.nack_epoch, row.nack_seq)? else { return Ok(None) };
    let at = Timestamp::from_micros(place.word("nack_at", row.nack_at)?);
    let docs: Option<Vec<NackDoc>> = row.nack_objects.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let docs = place.word("nack_objects", docs)?;
    let objects = docs.into_iter().map(|doc| place.word("nack_objects", doc.read())).collect::<Result<_, _>>()?;
    Ok(Some(NodeNack { revision, at, objects }))
}

impl From<&NackedObject> for NackDoc {
    fn from(nacked: &NackedObject) -> Self {
        Self {
            kind: nacked.object.kind.as_str().to_owned(),
            id: nacked.object.id.to_string(),
            code: nacked.code.as_str().to_owned(),
            field: nacked.field.clone(),
        }
    }
}

impl NackDoc {
    fn read(self) -> Option<NackedObject> {
        let object = ObjectRef { kind: ObjectKind::parse(&self.kind)?, id: Uuid::try_parse(&self.id).ok()? };
        Some(NackedObject { object, code: ObjectFaultCode::new(&self.code), field: self.field })
    }
}
