//! The contract of [`TenantStore`](novagate_ports_control::outbound::TenantStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

mod accounts;
mod claims;
mod erasure;
mod links;
mod provisioning;

pub use self::{accounts::*, claims::*, erasure::*, links::*, provisioning::*};

/// Runs the suite of tenants over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! tenant_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            tenant_store, $fixture:
            a_provisioned_tenant_is_there_as_a_whole,
            an_address_has_one_tenant,
            provisioning_again_changes_nothing,
            of_racing_provisions_of_one_address_exactly_one_wins,
            racing_provisions_of_different_addresses_all_win,
            a_provisioned_tenant_survives_a_restart,
            a_claim_finds_its_tenant_for_a_day,
            a_claim_makes_one_tenant,
            of_racing_provisions_with_one_claim_exactly_one_wins,
            a_claim_ends_with_its_tenant,
            a_claim_survives_a_restart,
            a_pending_registration_is_found_until_it_expires,
            an_expired_registration_is_removed_on_the_way,
            a_later_registration_replaces_the_earlier_one,
            an_address_with_a_tenant_cannot_be_registered_again,
            provisioning_ends_the_pending_registration,
            provisioning_under_another_id_replaces_the_pending_registration,
            a_pending_registration_survives_a_restart,
            a_reset_link_works_once,
            of_racing_uses_of_a_reset_link_exactly_one_wins,
            a_reset_link_ends_with_its_time,
            an_expired_reset_link_is_removed_on_the_way,
            a_later_reset_link_replaces_the_earlier_one,
            a_reset_link_is_its_own_tenants,
            a_reset_link_survives_a_restart,
            a_rename_is_written_with_its_audit_entry,
            a_state_is_kept,
            a_new_password_ends_tokens_and_reset_links,
            ending_tokens_raises_the_generation_only,
            racing_ends_of_tokens_each_raise_the_generation,
            nothing_can_be_done_to_a_tenant_that_is_not_there,
            changes_of_an_account_touch_no_other,
            all_provisioned_tenants_are_listed_in_pages,
            pages_of_tenants_stay_stable_while_tenants_come,
            erasing_leaves_nothing,
            a_second_erasure_reports_zeros,
            an_erasure_touches_no_other_tenant,
            an_erased_address_can_be_provisioned_again,
            an_erasure_survives_a_restart,
        );
    };
}
