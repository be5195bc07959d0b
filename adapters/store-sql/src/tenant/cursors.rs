//! Which telemetry batches have been taken: all up to a number, and a few beyond a gap.

use std::collections::BTreeSet;

use novagate_kernel::{BootId, NodeId};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel as _, QuerySelect as _};

use crate::error::{CorruptRow, StoreError};
use crate::placement::TenantTx;
use crate::values::{Place, stored};

/// How many batches beyond a gap are remembered. Nodes send in order; this bounds one that does not.
const MAX_BEYOND: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "telemetry_cursors")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    boot_id: Uuid,
    node_id: Uuid,
    upto: i64,
    beyond: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The batches of one run that have been taken.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    upto: u64,
    beyond: BTreeSet<u64>,
}

/// The number up to which every batch of this run has been taken; 0: none.
pub(crate) async fn received(tx: &TenantTx, boot: BootId) -> Result<u64, StoreError> {
    Ok(read(tx, boot).await?.upto)
}

/// Takes a batch; `false` when it has been taken before.
pub(crate) async fn take(tx: &TenantTx, node: NodeId, boot: BootId, batch_seq: u64) -> Result<bool, StoreError> {
    let mut taken = claim(tx, node, boot).await?;
    if !taken.take(batch_seq)? {
        return Ok(false);
    }
    let beyond: Vec<u64> = taken.beyond.iter().copied().collect();
    let row = Model {
        boot_id: boot.as_uuid(),
        node_id: node.as_uuid(),
        upto: stored(taken.upto)?,
        beyond: serde_json::to_string(&beyond).map_err(|_| StoreError::Misuse("a cursor that is not JSON"))?,
    };
    let conflict = OnConflict::column(Column::BootId).update_columns([Column::Upto, Column::Beyond]).to_owned();
    Entity::insert(row.into_active_model()).on_conflict(conflict).exec_without_returning(tx).await?;
    Ok(true)
}

/// Forgets every run of a node.
pub(crate) async fn forget(tx: &TenantTx, node: NodeId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::NodeId.eq(node.as_uuid())).exec(tx).await?;
    Ok(())
}

/// What has been taken of a run, which nobody else changes until the transaction ends.
async fn claim(tx: &TenantTx, node: NodeId, boot: BootId) -> Result<Taken, StoreError> {
    let find = || Entity::find_by_id(boot.as_uuid()).lock_exclusive().one(tx);
    if let Some(row) = find().await? {
        return Ok(row.try_into()?);
    }
    let row = Model { boot_id: boot.as_uuid(), node_id: node.as_uuid(), upto: 0, beyond: "[]".to_owned() };
    let insert = Entity::insert(row.into_active_model()).try_insert();
    insert.on_conflict(OnConflict::new().do_nothing().to_owned()).exec_without_returning(tx).await?;
    Ok(find().await?.map_or_else(|| Ok(Taken::default()), Taken::try_from)?)
}

async fn read(tx: &TenantTx, boot: BootId) -> Result<Taken, StoreError> {
    let row = Entity::find_by_id(boot.as_uuid()).one(tx).await?;
    Ok(row.map_or_else(|| Ok(Taken::default()), Taken::try_from)?)
}

impl Taken {
    fn take(&mut self, batch_seq: u64) -> Result<bool, StoreError> {
        if batch_seq == 0 {
            return Err(StoreError::Misuse("batches are counted from 1"));
        }
        if batch_seq <= self.upto || !self.beyond.insert(batch_seq) {
            return Ok(false);
        }
        while self.beyond.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
        if self.beyond.len() > MAX_BEYOND {
            return Err(StoreError::Misuse("too many batches beyond a gap"));
        }
        Ok(true)
    }
}

impl TryFrom<Model> for Taken {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("telemetry_cursors", &row.boot_id);
        let beyond: BTreeSet<u64> = place.word("beyond", serde_json::from_str(&row.beyond).ok())?;
        Ok(Self { upto: place.count("upto", row.upto)?, beyond })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_holds_the_number_back_until_it_is_filled() {
        let mut taken = Taken::default();
        assert!(taken.take(1).unwrap());
        assert!(taken.take(3).unwrap());
        assert_eq!(taken.upto, 1);
        assert!(!taken.take(3).unwrap());
        assert!(taken.take(2).unwrap());
        assert_eq!(taken, Taken { upto: 3, beyond: BTreeSet::new() });
        assert!(!taken.take(2).unwrap());
    }

    #[test]
    fn batch_zero_and_endless_gaps_are_refused() {
        let mut taken = Taken::default();
        assert!(taken.take(0).is_err());
        let refused = (2..5_000).find(|&batch_seq| taken.take(batch_seq).is_err());
        assert_eq!(refused, Some(2 + MAX_BEYOND as u64));
    }
}
