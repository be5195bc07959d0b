//! What conditions hold for, and which texts are none.

use proptest::prelude::*;

use super::*;

struct Query<'a>(&'a str);

impl RequestView for Query<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-tag").then_some(b"\xff1".as_slice())
    }

    fn query(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn query(name: &str, test: ValueTest) -> Condition {
    Condition { on: ConditionOn::query(name).unwrap(), test }
}

fn matches(text: &str) -> ValueTest {
    ValueTest::Matches(Expression::parse(text).unwrap())
}

#[test]
fn parameters_are_compared_decoded_and_the_first_of_a_name_counts() {
    let exact = |name: &str, value: &str| query(name, ValueTest::exact(value).unwrap());
    for (text, condition, expected) in [
        ("?v=2", exact("v", "2"), true),
        ("v=2", exact("v", "2"), true),
        ("a=1&v=2&v=3", exact("v", "2"), true),
        ("v=3&v=2", exact("v", "2"), false),
        ("%76=a%20b+c", exact("v", "a b c"), true),
        ("v=%zz%", exact("v", "%zz%"), true),
        ("v", exact("v", ""), true),
        ("v=a=b", exact("v", "a=b"), true),
        ("", query("v", ValueTest::Present), false),
        ("&&w=1&v", query("v", ValueTest::Present), true),
        ("V=1", query("v", ValueTest::Present), false),
    ] {
        assert_eq!(condition.holds("/", &Query(text)), expected, "{condition:?} of {text}");
    }
}

#[test]
fn an_expression_matches_the_whole_value() {
    for (expression, value, expected) in [
        ("[0-9]+", "17", true),
        ("[0-9]+", "17a", false),
        ("[0-9]+", "17\n", false),
        ("a|b", "b", true),
        ("a|b", "ab", false),
        ("(?i)beta", "BETA", true),
        ("", "", false),
    ] {
        let Ok(expression) = Expression::parse(expression) else { continue };
        assert_eq!(expression.matches(value.as_bytes()), expected, "{expression:?} of {value:?}");
    }
    let any_octet = Condition { on: ConditionOn::header("X-Tag").unwrap(), test: matches(".[0-9]") };
    assert!(any_octet.holds("/", &Query("")), "values are bytes, not text");
    let on_path = Condition { on: ConditionOn::Path, test: matches("/users/[0-9]+") };
    assert!(on_path.holds("/users/7", &()) && !on_path.holds("/users/7/orders", &()));
}

#[test]
fn texts_that_are_no_expressions_are_refused_with_the_reason() {
    let long = "a".repeat(MAX_EXPRESSION_BYTES + 1);
    let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    for (text, fault) in [
        ("", ConditionError::Length),
        (long.as_str(), ConditionError::Length),
        ("(", ConditionError::Syntax),
        ("a)(b", ConditionError::Syntax),
        ("(?=a)", ConditionError::Syntax),
        (r"(a)\1", ConditionError::Syntax),
        ("(?x)a # b", ConditionError::Syntax),
        (deep.as_str(), ConditionError::Syntax),
        ("(a{1000}){1000}", ConditionError::TooLarge),
    ] {
        assert_eq!(Expression::parse(text).unwrap_err(), fault, "{text}");
    }
}

#[test]
fn names_and_values_that_no_request_can_have_are_refused() {
    let long = "a".repeat(MAX_CONDITION_VALUE + 1);
    for name in ["", "a b", "a:b", "\u{e9}", &long] {
        assert_eq!(ConditionOn::header(name).unwrap_err(), ConditionError::HeaderName, "{name}");
    }
    for name in ["X-Consumer-Id", "x-consumer-groups", "X-Token-Subject"] {
        assert_eq!(ConditionOn::header(name).unwrap_err(), ConditionError::GatewayHeader, "{name}");
    }
    assert_eq!(ConditionOn::query("").unwrap_err(), ConditionError::QueryName);
    assert_eq!(ConditionOn::query(&long).unwrap_err(), ConditionError::QueryName);
    for value in [" a", "a\n", "\u{0}", &long] {
        assert_eq!(ValueTest::exact(value).unwrap_err(), ConditionError::Value, "{value:?}");
    }
    assert_eq!(ConditionOn::header("X-Beta"), ConditionOn::header("x-beta"));
}

#[test]
fn implication_and_exclusion_are_told_where_they_are_certain() {
    let exact = |value: &str| query("v", ValueTest::exact(value).unwrap());
    let (present, digits) = (query("v", ValueTest::Present), query("v", matches("[0-9]+")));
    assert!(exact("1").implies(&present) && digits.implies(&present) && exact("1").implies(&digits));
    assert!(!present.implies(&exact("1")) && !digits.implies(&exact("1")) && !exact("a").implies(&digits));
    assert!(exact("1").excludes(&exact("2")) && exact("a").excludes(&digits) && digits.excludes(&exact("a")));
    assert!(!exact("1").excludes(&exact("1")) && !exact("1").excludes(&present) && !present.excludes(&digits));
    assert!(!query("w", ValueTest::exact("2").unwrap()).excludes(&exact("1")));
}

proptest! {
    #[test]
    fn any_query_and_expression_is_read_without_panic(query_text in ".{0,40}", name in "[a-z%+]{1,4}", text in ".{0,24}") {
        let present = query(&name, ValueTest::Present).holds("/", &Query(&query_text));
        if let Ok(expression) = Expression::parse(&text) {
            let matched = query(&name, ValueTest::Matches(expression)).holds("/", &Query(&query_text));
            prop_assert!(present || !matched);
        }
    }

    #[test]
    fn what_is_encoded_is_found_decoded(name in "[a-z]{1,5}", value in "[ -~]{0,12}") {
        let value = value.trim();
        let condition = query(&name, ValueTest::exact(value).unwrap());
        let text = value.bytes().fold(format!("{name}="), |text, octet| format!("{text}%{octet:02x}"));
        prop_assert!(condition.holds("/", &Query(&text)));
    }
}
