//! Writing an edit: objects, their history, the revision and its audit entries.
//!
//! Always: runs in one transaction, after the head has been taken by compare-and-set, so that no other edit runs beside it.
//! Names may be swapped and reused within one edit. Not here: the head, the pending update.

use std::collections::HashMap;

use novagate_kernel::{Name, ObjectKind, ObjectRef, RouteId};
use novagate_ports_control::outbound::{Edit, ObjectWrite, RevisionChange, RevisionChangeOp, RevisionRecord};
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use uuid::Uuid;

use super::objects::{COLUMNS, table};
use super::{audit, revisions};
use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::{Place, batches, key_lists, stored};

/// Which service a route forwards to.
pub(crate) type Targets = HashMap<RouteId, Name>;

/// What an edit meets.
struct Existing {
    name: Option<Name>,
    created_at: i64,
}

/// An edit being written.
struct Writer<'a> {
    tx: &'a TenantTx,
    edit: &'a Edit,
    targets: &'a Targets,
    seq: i64,
    existing: HashMap<ObjectRef, Existing>,
}

/// Writes everything of an edit but the head.
pub(crate) async fn write(tx: &TenantTx, edit: &Edit, targets: &Targets) -> Result<(), StoreError> {
    let existing = existing(tx, edit).await?;
    if edit.deletes.iter().any(|reference| !existing.contains_key(reference)) {
        return Err(StoreError::Misuse("an edit deletes an object that is not there"));
    }
    let writer = Writer { tx, edit, targets, seq: stored(edit.next.revision.seq)?, existing };
    writer.close_versions().await?;
    for kind in ObjectKind::ALL {
        writer.delete(kind).await?;
        writer.free_names(kind).await?;
        writer.upsert(kind).await?;
    }
    writer.open_versions().await?;
    revisions::insert(tx, &writer.record()).await?;
    audit::append_all(tx, &edit.audit).await
}

async fn existing(tx: &TenantTx, edit: &Edit) -> Result<HashMap<ObjectRef, Existing>, StoreError> {
    let mut found = HashMap::new();
    let touched = edit.upserts.iter().map(|write| write.reference).chain(edit.deletes.iter().copied());
    for (kind, ids) in by_kind(touched) {
        for list in key_lists(&ids) {
            let mut select = Query::select();
            select.columns(["id", "name", "created_at"]).from(table(kind)).and_where(Expr::col("id").is_in(list));
            for row in tx.query_all(&select).await? {
                let id: Uuid = row.try_get_by_index(0)?;
                let name: Option<String> = row.try_get_by_index(1)?;
                let place = Place::of(table(kind), &id);
                let name = name.map(|name| place.name("name", &name)).transpose()?;
                let created_at = row.try_get_by_index(2)?;
                found.insert(ObjectRef { kind, id }, Existing { name, created_at });
            }
        }
    }
    Ok(found)
}

impl Writer<'_> {
    /// Ends the versions that stand now of every object that is touched.
    async fn close_versions(&self) -> Result<(), StoreError> {
        for (kind, ids) in by_kind(self.existing.keys().copied()) {
            for list in key_lists(&ids) {
                let mut update = Query::update();
                update.table("object_versions").value("seq_to", self.seq);
                update.and_where(Expr::col("kind").eq(kind.as_str()));
                update.and_where(Expr::col("id").is_in(list)).and_where(Expr::col("seq_to").is_null());
                self.tx.execute(&update).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, kind: ObjectKind) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = self.edit.deletes.iter().filter(|gone| gone.kind == kind).map(|gone| gone.id).collect();
        for list in key_lists(&ids) {
            let mut delete = Query::delete();
            delete.from_table(table(kind)).and_where(Expr::col("id").is_in(list));
            self.tx.execute(&delete).await?;
        }
        Ok(())
    }

    /// Takes the names off objects that get another one, so that no order of writing meets a name that is about to go.
    async fn free_names(&self, kind: ObjectKind) -> Result<(), StoreError> {
        let renamed = |write: &&ObjectWrite| {
            self.existing.get(&write.reference).is_some_and(|before| before.name.is_some() && before.name != write.name)
        };
        let ids: Vec<Uuid> = self.upserts(kind).filter(renamed).map(|write| write.reference.id).collect();
        for list in key_lists(&ids) {
            let mut update = Query::update();
            update.table(table(kind)).value("name", None::<String>).and_where(Expr::col("id").is_in(list));
            self.tx.execute(&update).await?;
        }
        Ok(())
    }

    async fn upsert(&self, kind: ObjectKind) -> Result<(), StoreError> {
        let writes: Vec<&ObjectWrite> = self.upserts(kind).collect();
        for batch in batches(&writes) {
            let mut insert = Query::insert();
            insert.into_table(table(kind)).columns(COLUMNS.into_iter().chain(["service"]));
            for write in batch {
                let service =
                    self.targets.get(&RouteId::from_uuid(write.reference.id)).map(|name| name.as_str().to_owned());
                let mut row = vec![write.reference.id.into(), self.seq.into()];
                row.extend(self.content(write)?);
                row.push(service.filter(|_| kind == ObjectKind::Route).into());
                insert.values(row).map_err(|_| StoreError::Misuse("a row has a wrong number of columns"))?;
            }
            let changed =
                COLUMNS.into_iter().chain(["service"]).filter(|column| !["id", "created_at"].contains(column));
            insert.on_conflict(OnConflict::column("id").update_columns(changed).to_owned());
            self.tx.execute(&insert).await?;
        }
        Ok(())
    }

    /// Adds the versions that stand from this revision on.
    async fn open_versions(&self) -> Result<(), StoreError> {
        for batch in batches(&self.edit.upserts) {
            let mut insert = Query::insert();
            insert.into_table("object_versions");
            insert.columns(["kind", "id", "seq_from"].into_iter().chain(COLUMNS.into_iter().skip(2)));
            for write in batch {
                let reference = write.reference;
                let mut row = vec![reference.kind.as_str().into(), reference.id.into(), self.seq.into()];
                row.extend(self.content(write)?);
                insert.values(row).map_err(|_| StoreError::Misuse("a row has a wrong number of columns"))?;
            }
            self.tx.execute(&insert).await?;
        }
        Ok(())
    }

    /// The values of [`COLUMNS`] after id and seq.
    fn content(&self, write: &ObjectWrite) -> Result<[Expr; 7], StoreError> {
        let body = std::str::from_utf8(&write.body).map_err(|_| StoreError::Misuse("a body is not UTF-8"))?;
        let at = self.edit.at.as_micros();
        let created_at = self.existing.get(&write.reference).map_or(at, |before| before.created_at);
        Ok([
            write.name.as_ref().map(|name| name.as_str().to_owned()).into(),
            write.parent.map(|parent| parent.kind.as_str().to_owned()).into(),
            write.parent.map(|parent| parent.id).into(),
            body.into(),
            write.digest.as_bytes().to_vec().into(),
            created_at.into(),
            at.into(),
        ])
    }

    fn upserts(&self, kind: ObjectKind) -> impl Iterator<Item = &ObjectWrite> {
        self.edit.upserts.iter().filter(move |write| write.reference.kind == kind)
    }

    fn record(&self) -> RevisionRecord {
        let edit = self.edit;
        let upserts = edit.upserts.iter().map(|write| RevisionChange {
            object: write.reference,
            name: write.name.clone(),
            op: if self.existing.contains_key(&write.reference) {
                RevisionChangeOp::Updated
            } else {
                RevisionChangeOp::Created
            },
        });
        let deletes = edit.deletes.iter().map(|&object| RevisionChange {
            object,
            name: self.existing.get(&object).and_then(|before| before.name.clone()),
            op: RevisionChangeOp::Deleted,
        });
        let mut changes: Vec<RevisionChange> = upserts.chain(deletes).collect();
        changes.sort_by_key(|change| change.object);
        RevisionRecord { head: edit.next, kind: edit.kind, actor: edit.actor, at: edit.at, changes }
    }
}

fn by_kind(references: impl Iterator<Item = ObjectRef>) -> impl Iterator<Item = (ObjectKind, Vec<Uuid>)> {
    let mut kinds = ObjectKind::ALL.map(|kind| (kind, Vec::new()));
    for reference in references {
        for (kind, ids) in &mut kinds {
            if *kind == reference.kind {
                ids.push(reference.id);
            }
        }
    }
    kinds.into_iter().filter(|(_, ids)| !ids.is_empty())
}
