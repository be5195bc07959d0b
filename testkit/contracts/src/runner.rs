//! How a case is run, and how it is left out.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Unwinds a case that is left out.
struct LeftOut;

/// Runs a case on a runtime of its own: two threads, so that what an adapter does in the background goes on while the case
/// itself is busy.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(case)))
        && !payload.is::<LeftOut>()
    {
        resume_unwind(payload);
    }
}

/// Ends the present case without a verdict. For a fixture whose server is not there and need not be; it has said so and
/// counted the case.
pub fn leave_out() -> ! {
    resume_unwind(Box::new(LeftOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_is_left_out_does_not_fail() {
        run(async { leave_out() });
    }

    #[test]
    #[should_panic(expected = "a broken promise")]
    fn a_case_that_panics_fails() {
        run(async { panic!("a broken promise") });
    }
}
