//! Forgetting tenant isolation does not compile.

#[test]
fn promise_t6_isolation_that_is_forgotten_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
