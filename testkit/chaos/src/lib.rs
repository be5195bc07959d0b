//! Faults on purpose: a link that is cut, frozen, slow or cut in the middle of a word, and ports that fail when a test says so.
//!
//! Always: a fault happens at the place that the test names, not after some time; a link ends with its value. Blocking
//! sockets and threads on purpose: a link shares no runtime with what it stands in front of. Not here: servers
//! (`testkit/services`), what must hold under faults (the tests of the adapters and programs).
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's material fails by panicking, with a message that names what is wrong"
)]

mod flaky;
mod link;

pub use self::{
    flaky::{FaultPlan, Flaky},
    link::{CutLink, Moment},
};
