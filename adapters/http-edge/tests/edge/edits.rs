//! A thousand edits under load: every answer is right for a configuration that was live while its request was under way, no
//! request fails, what is added is there at once and what is removed is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use novagate_policies::ConfigObject;
use novagate_routing::{ForwardHost, ForwardPath, PathTemplate, Redirect, RedirectStatus, RouteAction};

use crate::harness::{Client, Edge, Setup, Upstream, compile, get, route, service};
use crate::harness_http2::{self, Http2};

const EDITS: u32 = 1_000;
/// Routes that no edit touches.
const BYSTANDERS: u32 = 20;

/// The configuration after an edit. Its number is in every answer: in the host of a redirect, and in the host and path that
/// an upstream is told. Targets come and go, and so do a service and a route.
fn after(edit: u32, upstreams: &[Upstream; 2]) -> Vec<ConfigObject> {
    let both = [upstreams[0].url.as_str(), upstreams[1].url.as_str()];
    let targets = [&both[..1], &both[1..], &both[..]][edit as usize % 3];
    let mut told = route(1, "/told/*", "up");
    let host = Some(revision(edit).into());
    told.route.action = RouteAction::from(Redirect {
        status: RedirectStatus::Found,
        scheme: None,
        host,
        port: None,
        path: None,
        drop_query: false,
    });
    let mut sent = route(2, "/sent/{id}", "up");
    let path = PathTemplate::parse(&format!("/{}/{{id}}", revision(edit)), &sent.route.matcher).unwrap();
    if let RouteAction::Forward(forward) = &mut sent.route.action {
        (forward.host, forward.path) = (ForwardHost::Fixed(revision(edit).into()), ForwardPath::Rewritten(path));
    }
    let mut objects = vec![ConfigObject::Service(service(1, "up", targets))];
    objects.extend([told, sent].map(ConfigObject::Route));
    if edit.is_multiple_of(2) {
        let name = format!("for-{edit}");
        objects.push(ConfigObject::Service(service(u128::from(1_000 + edit), &name, &both)));
        objects.push(ConfigObject::Route(route(u128::from(1_000 + edit), &format!("/probe/{edit}"), &name)));
    }
    let bystander = |number: u32| route(u128::from(10_000 + number), &format!("/by/{number}/{{id}}"), "up");
    objects.extend((0..BYSTANDERS).map(|number| ConfigObject::Route(bystander(number))));
    objects
}

fn revision(edit: u32) -> String {
    format!("rev-{edit}.example")
}

/// The edit that a text names first.
fn named(text: &str) -> u32 {
    let number = text.split("rev-").nth(1).and_then(|rest| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("an edit in {text:?}"))
}

/// How far the edits are.
#[derive(Default)]
struct Progress {
    begun: AtomicU32,
    done: AtomicU32,
    answers: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn done(&self) -> u32 {
        self.done.load(Ordering::SeqCst)
    }

    /// Judges an answer to a request that was sent after edit `before` was done.
    fn judge(&self, before: u32, seen: u32) {
        let begun = self.begun.load(Ordering::SeqCst);
        assert!((before..=begun).contains(&seen), "an answer of edit {seen} between {before} and {begun}");
        self.answers.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks over one connection, and over a new one now and then.
fn ask(edge: &Edge, progress: &Progress) {
    let mut client = edge.connect();
    for number in 0_u32.. {
        if progress.is_over() {
            return;
        }
        let before = progress.done();
        match number % 3 {
            0 => {
                client.send(get(&format!("/told/{number}"), ""));
                let response = client.response();
                assert_eq!(response.status, 302);
                progress.judge(before, named(response.field("location").unwrap()));
            }
            1 => progress.judge(before, sent(&mut client, &get(&format!("/sent/{number}"), ""))),
            _ => {
                let body = format!("POST /sent/{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                progress.judge(before, sent(&mut client, &(body + "5\r\nhello\r\n0\r\n\r\n")));
            }
        }
        if number % 40 == 39 {
            client = edge.connect();
        }
    }
}

/// Sends a request that an upstream echoes; the edit that it was told of, by path and host.
fn sent(client: &mut Client, request: &str) -> u32 {
    client.send(request);
    let response = client.response();
    let echoed = response.text();
    assert_eq!(response.status, 200, "{echoed}");
    let (line, fields) = echoed.split_once("\r\n").unwrap();
    assert_eq!(named(line), named(fields), "host and path are of one edit: {echoed}");
    named(line)
}

fn ask_over_http2(edge: &Edge, progress: &Progress) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Http2::connect(edge).await;
        while !progress.is_over() {
            let before = progress.done();
            let answer = client.ask(harness_http2::get("/sent/two"), b"").await.unwrap();
            assert_eq!(answer.status(), 200);
            progress.judge(before, named(&answer.text()));
        }
    });
}

/// Publishes one edit and looks at what it adds and removes.
fn edit(edge: &Edge, progress: &Progress, prober: &mut Client, number: u32, upstreams: &[Upstream; 2]) {
    let live = compile(number, &after(number, upstreams));
    progress.begun.store(number, Ordering::SeqCst);
    edge.live.store(Some(Arc::new(live)));
    progress.done.store(number, Ordering::SeqCst);
    if number.is_multiple_of(10) {
        *prober = edge.connect();
    }
    let own = if number.is_multiple_of(2) { 200 } else { 404 };
    for (path, status) in [
        (format!("/probe/{number}"), own),
        (format!("/probe/{}", number - 1), 404),
        (format!("/by/{}/1", number % BYSTANDERS), 200),
    ] {
        prober.send(get(&path, ""));
        assert_eq!(prober.response().status, status, "{path} after edit {number}");
    }
}

#[test]
fn a_thousand_edits_under_load_cost_no_request_and_no_answer_is_of_another_time() {
    let upstreams = [Upstream::echo(), Upstream::echo()];
    let setup = Setup { workers: 2, ..Setup::new(after(1, &upstreams)) };
    let edge = setup.start();
    let progress = Progress::default();
    for edits in [&progress.begun, &progress.done] {
        edits.store(1, Ordering::SeqCst);
    }
    std::thread::scope(|scope| {
        let over = Over(&progress);
        for _ in 0..2 {
            scope.spawn(|| ask(&edge, &progress));
        }
        scope.spawn(|| ask_over_http2(&edge, &progress));
        let mut prober = edge.connect();
        for number in 2..=EDITS {
            edit(&edge, &progress, &mut prober, number, &upstreams);
        }
        drop(over);
    });
    let answers = progress.answers.load(Ordering::SeqCst);
    assert!(answers > u64::from(EDITS), "{answers} answers");
    let failed = edge.records(1).iter().filter(|record| record.status >= 500).count();
    assert_eq!(failed, 0);
    assert_eq!(edge.handle.panics(), 0);
}

/// Ends the load, also when an edit has failed.
struct Over<'a>(&'a Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}
