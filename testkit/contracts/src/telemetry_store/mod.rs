//! The contract of [`TelemetryStore`](novagate_ports_control::outbound::TelemetryStore).
#![expect(missing_docs, reason = "the name of a case is its sentence")]

mod filters;
mod ingest;
mod numbers;

pub use self::{filters::*, ingest::*, numbers::*};

/// Runs the suite of telemetry over a [`StoreFixture`](crate::StoreFixture).
#[macro_export]
macro_rules! telemetry_store_contract {
    ($fixture:ty) => {
        $crate::cases!(
            telemetry_store, $fixture:
            a_batch_is_stored_whole,
            a_batch_is_stored_at_most_once,
            of_racing_deliveries_of_a_batch_exactly_one_is_new,
            the_cursor_stops_before_the_first_gap,
            each_boot_has_its_own_cursor,
            batches_of_every_kind_move_the_cursor,
            a_full_batch_is_stored,
            other_tenants_telemetry_is_invisible,
            telemetry_survives_a_restart,
            each_filter_holds_alone,
            filters_combine,
            requests_are_listed_newest_first_in_pages,
            requests_of_one_time_have_a_stable_order,
            pages_of_requests_stay_stable_while_requests_arrive,
            errors_are_listed_newest_first_in_pages,
            errors_are_filtered_by_time_and_service,
            the_newest_health_of_each_node_counts,
            counts_are_added_up_into_buckets,
            counts_of_all_routes_and_nodes_are_kept_apart_and_together,
            windows_belong_to_the_bucket_they_begin_in,
            pruning_removes_what_is_older,
        );
    };
}
