//! Revisions: how each came about and what it changed.

use novagate_kernel::{Digest, Epoch, Head, Name, ObjectKind, ObjectRef, Revision, Timestamp};
use novagate_ports_control::outbound::{RevisionChange, RevisionChangeOp, RevisionKind, RevisionRecord};
use novagate_ports_control::{Cursor, Page, PageRequest};
use novagate_records::Actor;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _};
use serde::{Deserialize, Serialize};

use crate::error::{CorruptRow, StoreError};
use crate::pages;
use crate::placement::TenantTx;
use crate::values::{Place, stored, stored_epoch};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revisions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    seq: i64,
    epoch: i64,
    digest: Vec<u8>,
    kind: String,
    rollback_to: Option<i64>,
    actor: String,
    at: i64,
    changes: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A change as the column holds it.
#[derive(Serialize, Deserialize)]
struct ChangeDoc {
    kind: String,
    id: String,
    name: Option<String>,
    op: String,
}

/// Adds a revision.
pub(crate) async fn insert(tx: &TenantTx, record: &RevisionRecord) -> Result<(), StoreError> {
    let (kind, rollback_to) = match record.kind {
        RevisionKind::Initial => ("initial", None),
        RevisionKind::Edit => ("edit", None),
        RevisionKind::Apply => ("apply", None),
        RevisionKind::Rollback { to } => ("rollback", Some(stored(to)?)),
    };
    let changes: Vec<ChangeDoc> = record.changes.iter().map(ChangeDoc::from).collect();
    let row = Model {
        seq: stored(record.head.revision.seq)?,
        epoch: stored_epoch(record.head.revision.epoch),
        digest: record.head.digest.as_bytes().to_vec(),
        kind: kind.to_owned(),
        rollback_to,
        actor: record.actor.as_str().to_owned(),
        at: record.at.as_micros(),
        changes: serde_json::to_string(&changes).map_err(|_| StoreError::Misuse("changes that are not JSON"))?,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// One revision, of whatever epoch.
pub(crate) async fn find(tx: &TenantTx, seq: u64) -> Result<Option<RevisionRecord>, StoreError> {
    // No revision has a number that a column cannot hold.
    let Ok(seq) = i64::try_from(seq) else { return Ok(None) };
    let row = Entity::find_by_id(seq).one(tx).await?;
    Ok(row.map(RevisionRecord::try_from).transpose()?)
}

/// Revisions, newest first.
pub(crate) async fn list(tx: &TenantTx, page: &PageRequest) -> Result<Page<RevisionRecord>, StoreError> {
    let mut find = Entity::find().order_by_desc(Column::Seq);
    if let Some(after) = &page.after {
        find = find.filter(Column::Seq.lt(pages::read_number(after)?));
    }
    let rows = find.limit(pages::probe(page)?).all(tx).await?;
    let page = pages::cut(rows, page, |row| Cursor::new(row.seq.to_string()));
    Ok(pages::try_map(page, RevisionRecord::try_from)?)
}

/// Moves the newest revision, `seq`, into a new epoch; older ones stay in theirs.
pub(crate) async fn renew_epoch(tx: &TenantTx, seq: u64, next: Epoch) -> Result<(), StoreError> {
    Entity::update_many()
        .filter(Column::Seq.eq(stored(seq)?))
        .col_expr(Column::Epoch, Expr::value(stored_epoch(next)))
        .exec(tx)
        .await?;
    Ok(())
}

impl TryFrom<Model> for RevisionRecord {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("revisions", &row.seq);
        let kind = match (row.kind.as_str(), row.rollback_to) {
            ("initial", None) => RevisionKind::Initial,
            ("edit", None) => RevisionKind::Edit,
            ("apply", None) => RevisionKind::Apply,
            ("rollback", Some(to)) => RevisionKind::Rollback { to: place.count("rollback_to", to)? },
            _ => return Err(place.corrupt("kind")),
        };
        let revision: Revision = place.revision(row.epoch, row.seq)?;
        let digest: Digest = place.digest("digest", &row.digest)?;
        let changes: Vec<ChangeDoc> = place.word("changes", serde_json::from_str(&row.changes).ok())?;
        let changes = changes.into_iter().map(|doc| place.word("changes", doc.read())).collect::<Result<_, _>>()?;
        Ok(Self {
            head: Head { revision, digest },
            kind,
            actor: place.word("actor", Actor::parse(&row.actor))?,
            at: Timestamp::from_micros(row.at),
            changes,
        })
    }
}

impl From<&RevisionChange> for ChangeDoc {
    fn from(change: &RevisionChange) -> Self {
        let op = match change.op {
            RevisionChangeOp::Created => "created",
            RevisionChangeOp::Updated => "updated",
            RevisionChangeOp::Deleted => "deleted",
        };
        Self {
            kind: change.object.kind.as_str().to_owned(),
            id: change.object.id.to_string(),
            name: change.name.as_ref().map(|name| name.as_str().to_owned()),
            op: op.to_owned(),
        }
    }
}

impl ChangeDoc {
    fn read(self) -> Option<RevisionChange> {
        let object = ObjectRef { kind: ObjectKind::parse(&self.kind)?, id: Uuid::try_parse(&self.id).ok()? };
        let name = match self.name {
            Some(name) => Some(Name::parse(&name).ok()?),
            None => None,
        };
        let op = match self.op.as_str() {
            "created" => RevisionChangeOp::Created,
            "updated" => RevisionChangeOp::Updated,
            "deleted" => RevisionChangeOp::Deleted,
            _ => return None,
        };
        Some(RevisionChange { object, name, op })
    }
}
