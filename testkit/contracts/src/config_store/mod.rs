//! The contract of [`ConfigStore`](novagate_ports_control::outbound::ConfigStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

mod commits;
mod epochs;
mod history;
mod lists;
mod names;

use novagate_kernel::{Name, ObjectKind, ObjectRef};

pub use self::{commits::*, epochs::*, history::*, lists::*, names::*};
use crate::stores::{StoreFixture, Tenant, World, after};

/// Runs the suite of configurations over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! config_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            config_store, $fixture:
            a_new_tenant_has_the_empty_configuration,
            what_was_committed_is_read_back_whole,
            bodies_come_back_byte_for_byte,
            an_update_keeps_the_creation_time_and_other_objects,
            a_deleted_object_is_gone,
            a_commit_from_another_base_does_nothing,
            of_racing_commits_from_one_base_exactly_one_wins,
            racing_commits_that_try_again_all_get_through,
            a_reader_never_sees_half_a_commit,
            an_edit_of_many_objects_is_one_commit,
            a_commit_writes_revision_audit_and_pending_update,
            other_tenants_see_nothing_of_a_configuration,
            a_commit_survives_a_restart,
            a_taken_name_is_a_conflict_and_nothing_is_written,
            one_name_twice_in_an_edit_is_a_conflict,
            names_are_unique_per_kind_and_tenant_only,
            names_may_be_exchanged_within_an_edit,
            the_name_of_a_deleted_object_is_free_at_once,
            objects_without_names_never_collide,
            every_revision_can_be_loaded_as_it_was,
            changes_are_net_of_what_came_and_went,
            a_body_that_returned_is_no_change,
            a_revision_that_is_not_of_this_history_has_no_changes,
            revisions_are_listed_newest_first,
            how_a_revision_came_about_is_kept,
            a_history_survives_a_restart,
            objects_are_listed_by_creation_time_then_id,
            children_are_listed_by_parent,
            pages_of_objects_stay_stable_while_objects_come_and_go,
            a_new_epoch_replaces_the_expected_one_only,
            of_racing_renewals_exactly_one_wins,
            a_history_goes_on_in_the_new_epoch,
            an_epoch_belongs_to_one_tenant,
            an_unconfirmed_revision_is_pending_until_it_is_settled,
            settling_an_older_revision_changes_nothing,
            pending_updates_of_all_tenants_are_listed_in_pages,
            a_pending_update_survives_a_restart,
        );
    };
}

/// A name of the fewest characters that still differ.
pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A body in the form of this kind, with a mark by which versions differ.
pub(crate) fn body(kind: ObjectKind, name: &Name, mark: u64) -> String {
    match kind {
        ObjectKind::Service => {
            format!(
                r#"{{"name":"{name}","targets":[{{"url":"http://10.0.0.1:8080","weight":1}}],"timeoutMs":{}}}"#,
                mark + 1
            )
        }
        ObjectKind::Route => format!(r#"{{"name":"{name}","match":{{"path":"/{name}/v{mark}"}},"service":"none"}}"#),
        ObjectKind::Consumer => {
            format!(r#"{{"name":"{name}","groups":[],"rateLimit":{{"max":{},"windowMs":1000}}}}"#, mark + 1)
        }
        ObjectKind::ConsumerKey => format!(r#"{{"consumer":"{}","sha256":"{mark:064x}"}}"#, uuid::Uuid::nil()),
    }
}

/// Commits one new object of a kind, with a name of its own.
pub(crate) async fn add<F: StoreFixture>(
    world: &World<F>,
    tenant: &mut Tenant,
    kind: ObjectKind,
    seconds: u64,
) -> (ObjectRef, Name) {
    let (object, name) = (world.mint.object(kind), world.mint.name("obj"));
    let edit = tenant.model.edit(after(seconds)).upsert(object, &name, body(kind, &name, 0)).build();
    world.commit(tenant, &edit).await;
    (object, name)
}
