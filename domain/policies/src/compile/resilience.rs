//! Rules about what a service does when its targets fail.

use std::time::Duration;

use novagate_routing::{CircuitBreaker, Hedge, OutlierDetection, Resilience, Retries};

use super::check::{DAY, HOUR, is_whole_ms};
use crate::fault::Subject;

/// Most statuses and most methods of a rule about retries.
const MAX_LISTED: usize = 16;
const MAX_AT_ONCE: u32 = 1_000_000;

pub(super) fn check(subject: &mut Subject<'_>, resilience: &Resilience) {
    if let Some(rule) = &resilience.retries {
        retries(subject, rule);
    }
    if let Some(rule) = &resilience.hedge {
        hedge(subject, rule);
    }
    if let Some(rule) = &resilience.outlier_detection {
        outliers(subject, rule);
    }
    subject.range(resilience.panic_percent <= 100, "/panicPercent", "a share is 0 to 100");
    if let Some(rule) = &resilience.circuit_breaker {
        breaker(subject, rule);
    }
}

fn retries(subject: &mut Subject<'_>, rule: &Retries) {
    subject.range((1..=5).contains(&rule.attempts), "/retries/attempts", "there are 1 to 5 further attempts");
    subject.range((1..=100).contains(&rule.budget_percent), "/retries/budgetPercent", "a budget is 1 to 100");
    if let Some(timeout) = rule.per_try_timeout {
        let holds = is_whole_ms(timeout) && (Duration::from_millis(1)..=HOUR).contains(&timeout);
        subject.range(holds, "/retries/perTryTimeoutMs", "a timeout is 1 to 3600000 whole milliseconds");
    }
    let holds = rule.max_body <= Retries::MAX_KEPT;
    subject.range(holds, "/retries/maxBodyBytes", "at most 1048576 bytes of a body are kept");
    if rule.on.is_empty() && rule.statuses.is_empty() {
        subject.fault("/retries/on", "unsatisfiable", "there is at least one ground or status to retry after");
    }
    distinct(subject, "/retries/on", &rule.on, "a ground is listed once");
    let are_few = rule.statuses.len() <= MAX_LISTED;
    subject.range(are_few, "/retries/statuses", "there are at most 16 statuses");
    for (at, status) in rule.statuses.iter().enumerate().take(MAX_LISTED) {
        let is_failure = (500..=599).contains(status);
        subject.range(is_failure, format!("/retries/statuses/{at}"), "a status is 500 to 599");
    }
    distinct(subject, "/retries/statuses", &rule.statuses, "a status is listed once");
    methods(subject, "/retries/methods", &rule.methods);
}

fn hedge(subject: &mut Subject<'_>, rule: &Hedge) {
    let holds = is_whole_ms(rule.delay) && (Duration::from_millis(1)..=HOUR).contains(&rule.delay);
    subject.range(holds, "/hedge/delayMs", "a delay is 1 to 3600000 whole milliseconds");
    subject.range((1..=3).contains(&rule.max_extra), "/hedge/maxExtra", "1 to 3 further targets are asked");
    methods(subject, "/hedge/methods", &rule.methods);
}

fn methods(subject: &mut Subject<'_>, list: &str, methods: &[http::Method]) {
    subject.range((1..=MAX_LISTED).contains(&methods.len()), list, "there are 1 to 16 methods");
    distinct(subject, list, methods, "a method is listed once");
}

fn distinct<T: PartialEq>(subject: &mut Subject<'_>, list: &str, items: &[T], rule: &str) {
    for (at, item) in items.iter().enumerate().take(MAX_LISTED) {
        if items.iter().take(at).any(|earlier| earlier == item) {
            subject.fault(format!("{list}/{at}"), "duplicate", rule);
        }
    }
}

fn outliers(subject: &mut Subject<'_>, rule: &OutlierDetection) {
    let holds = (1..=100).contains(&rule.consecutive_failures);
    subject.range(holds, "/outlierDetection/consecutiveFailures", "1 to 100 failures in a row eject a target");
    if let Some(rate) = rule.error_rate {
        let holds = (1..=100).contains(&rate.percent);
        subject.range(holds, "/outlierDetection/errorRatePercent", "an error rate is 1 to 100");
        let holds = (1..=100_000).contains(&rate.min_requests);
        subject.range(holds, "/outlierDetection/minRequests", "1 to 100000 requests say something");
    }
    let holds = is_whole_ms(rule.eject) && (Duration::from_secs(1)..=HOUR).contains(&rule.eject);
    subject.range(holds, "/outlierDetection/ejectMs", "an ejection is 1000 to 3600000 whole milliseconds");
    let holds = is_whole_ms(rule.max_eject) && (rule.eject..=DAY).contains(&rule.max_eject);
    subject.range(
        holds,
        "/outlierDetection/maxEjectMs",
        "the longest ejection is not shorter than the first and at most 86400000 whole milliseconds",
    );
    let holds = rule.max_ejected_percent <= 100;
    subject.range(holds, "/outlierDetection/maxEjectedPercent", "a share is 0 to 100");
}

fn breaker(subject: &mut Subject<'_>, rule: &CircuitBreaker) {
    let holds = (1..=MAX_AT_ONCE).contains(&rule.max_requests);
    subject.range(holds, "/circuitBreaker/maxRequests", "1 to 1000000 requests run at once");
    if let Some(pending) = rule.max_pending {
        let holds = (1..=MAX_AT_ONCE).contains(&pending);
        subject.range(holds, "/circuitBreaker/maxPending", "1 to 1000000 requests wait at once");
    }
    if let Some(connections) = rule.max_connections {
        let holds = (1..=MAX_AT_ONCE).contains(&connections);
        subject.range(holds, "/circuitBreaker/maxConnections", "1 to 1000000 connections are open at once");
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use novagate_kernel::{ObjectKind, ObjectRef};
    use novagate_routing::{ErrorRate, RetryGround};
    use uuid::Uuid;

    use super::*;
    use crate::fault::Faults;

    /// What is done to a good rule, the field that is told, and the code.
    type Case<T> = (fn(&mut T), &'static str, &'static str);

    fn retries() -> Retries {
        Retries {
            attempts: 2,
            on: vec![RetryGround::Connect, RetryGround::Reset, RetryGround::Timeout],
            statuses: vec![502, 503],
            methods: Retries::IDEMPOTENT.to_vec(),
            per_try_timeout: Some(Duration::from_millis(500)),
            budget_percent: 20,
            max_body: Retries::MAX_KEPT,
        }
    }

    fn hedge() -> Hedge {
        Hedge { delay: Duration::from_millis(50), max_extra: 3, methods: Hedge::SAFE.to_vec() }
    }

    fn outliers() -> OutlierDetection {
        OutlierDetection {
            consecutive_failures: 5,
            error_rate: Some(ErrorRate { percent: 50, min_requests: 20 }),
            eject: Duration::from_secs(30),
            max_eject: Duration::from_secs(30),
            max_ejected_percent: 50,
        }
    }

    /// Pointers and codes of what is wrong with it.
    fn faults(resilience: &Resilience) -> Vec<(String, &'static str)> {
        let mut faults = Faults::default();
        let object = ObjectRef { kind: ObjectKind::Service, id: Uuid::from_u128(1) };
        check(&mut Subject { faults: &mut faults, object, name: None }, resilience);
        faults.into_list().into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_is_in_its_bounds_is_accepted() {
        let circuit_breaker = Some(CircuitBreaker { max_requests: 1, max_pending: Some(1), max_connections: Some(1) });
        let (retries, outlier_detection) = (Some(retries()), Some(outliers()));
        let resilience =
            Resilience { retries, hedge: Some(hedge()), outlier_detection, panic_percent: 100, circuit_breaker };
        assert_eq!(faults(&resilience), []);
        assert_eq!(faults(&Resilience::default()), []);
    }

    #[test]
    fn every_bound_of_retries_is_named() {
        let cases: [Case<Retries>; 12] = [
            (|rule| rule.attempts = 0, "/attempts", "out_of_range"),
            (|rule| rule.attempts = 6, "/attempts", "out_of_range"),
            (|rule| rule.budget_percent = 0, "/budgetPercent", "out_of_range"),
            (|rule| rule.budget_percent = 101, "/budgetPercent", "out_of_range"),
            (|rule| rule.max_body = 1_048_577, "/maxBodyBytes", "out_of_range"),
            (|rule| rule.per_try_timeout = Some(Duration::ZERO), "/perTryTimeoutMs", "out_of_range"),
            (|rule| (rule.on, rule.statuses) = (Vec::new(), Vec::new()), "/on", "unsatisfiable"),
            (|rule| rule.on.push(RetryGround::Reset), "/on/3", "duplicate"),
            (|rule| rule.statuses.push(404), "/statuses/2", "out_of_range"),
            (|rule| rule.statuses.push(502), "/statuses/2", "duplicate"),
            (|rule| rule.methods.clear(), "/methods", "out_of_range"),
            (|rule| rule.methods.push(Method::GET), "/methods/6", "duplicate"),
        ];
        for (change, pointer, code) in cases {
            let mut rule = retries();
            change(&mut rule);
            let found = faults(&Resilience { retries: Some(rule), ..Resilience::default() });
            assert_eq!(found, [(format!("/retries{pointer}"), code)]);
        }
    }

    #[test]
    fn every_bound_of_hedges_is_named() {
        let cases: [Case<Hedge>; 6] = [
            (|rule| rule.delay = Duration::ZERO, "/delayMs", "out_of_range"),
            (|rule| rule.delay = HOUR + Duration::from_millis(1), "/delayMs", "out_of_range"),
            (|rule| rule.max_extra = 0, "/maxExtra", "out_of_range"),
            (|rule| rule.max_extra = 4, "/maxExtra", "out_of_range"),
            (|rule| rule.methods.clear(), "/methods", "out_of_range"),
            (|rule| rule.methods.push(Method::GET), "/methods/3", "duplicate"),
        ];
        for (change, pointer, code) in cases {
            let mut rule = hedge();
            change(&mut rule);
            let found = faults(&Resilience { hedge: Some(rule), ..Resilience::default() });
            assert_eq!(found, [(format!("/hedge{pointer}"), code)]);
        }
    }

    #[test]
    fn every_bound_of_ejections_and_of_the_breaker_is_named() {
        let cases: [Case<OutlierDetection>; 7] = [
            (|rule| rule.consecutive_failures = 0, "consecutiveFailures", "out_of_range"),
            (
                |rule| rule.error_rate = Some(ErrorRate { percent: 0, min_requests: 20 }),
                "errorRatePercent",
                "out_of_range",
            ),
            (|rule| rule.error_rate = Some(ErrorRate { percent: 1, min_requests: 0 }), "minRequests", "out_of_range"),
            (|rule| rule.eject = Duration::from_millis(999), "ejectMs", "out_of_range"),
            (|rule| rule.max_eject = Duration::from_secs(29), "maxEjectMs", "out_of_range"),
            (|rule| rule.max_eject = DAY + Duration::from_millis(1), "maxEjectMs", "out_of_range"),
            (|rule| rule.max_ejected_percent = 101, "maxEjectedPercent", "out_of_range"),
        ];
        for (change, field, code) in cases {
            let mut rule = outliers();
            change(&mut rule);
            let found = faults(&Resilience { outlier_detection: Some(rule), ..Resilience::default() });
            assert_eq!(found, [(format!("/outlierDetection/{field}"), code)]);
        }
        for (max_requests, max_pending, max_connections, field) in
            [(0, None, None, "maxRequests"), (1, Some(0), None, "maxPending"), (1, None, Some(0), "maxConnections")]
        {
            let circuit_breaker = Some(CircuitBreaker { max_requests, max_pending, max_connections });
            let found = faults(&Resilience { circuit_breaker, ..Resilience::default() });
            assert_eq!(found, [(format!("/circuitBreaker/{field}"), "out_of_range")]);
        }
        let found = faults(&Resilience { panic_percent: 101, ..Resilience::default() });
        assert_eq!(found, [("/panicPercent".to_owned(), "out_of_range")]);
    }
}
