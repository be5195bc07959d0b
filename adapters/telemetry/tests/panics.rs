//! What a process says when a thread panics. A process of its own: the hook is the process's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use novagate_fixtures::{assert_no_canary, canary};
use novagate_telemetry::{LogFormat, LogLevel, install};
use serde_json::Value;

/// Set in the process of its own.
const CHILD: &str = "NOVAGATE_TEST_PANICS";

/// What the process of its own does.
fn panic_with_what_a_request_brought() {
    install(LogLevel::Error, LogFormat::Json);
    let text = format!("{} 203.0.113.77 ada@example.org", canary("payload"));
    let worker = std::thread::Builder::new().name("worker-3".to_owned());
    worker.spawn(move || panic!("{text}")).unwrap().join().unwrap_err();
}

#[test]
fn promise_n3_a_panic_is_told_with_its_place_and_never_with_its_text() {
    if std::env::var_os(CHILD).is_some() {
        return panic_with_what_a_request_brought();
    }
    let name = "promise_n3_a_panic_is_told_with_its_place_and_never_with_its_text";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "--nocapture", name]).env(CHILD, "1").env("RUST_BACKTRACE", "1");
    let output = again.output();
    let output = output.unwrap();
    let (told, rest) = (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    assert!(output.status.success() && rest.contains("1 passed"), "{rest}\n{told}");
    for text in [&told, &rest] {
        assert_no_canary("the output", text);
        assert!(!text.contains("203.0.113.77") && !text.contains("example.org"), "{text}");
    }
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [line] = lines.as_slice() else { panic!("one line: {told}") };
    assert_eq!(
        (&line["level"], &line["code"], &line["thread"]),
        (&"ERROR".into(), &"INTERNAL".into(), &"worker-3".into())
    );
    let place = line["location"].as_str().unwrap();
    assert!(place.contains("panics.rs:"), "{place}");
}
