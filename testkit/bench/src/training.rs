//! What a published gateway is compiled for: the loads that the profile of its program is made under.
//!
//! Always: nothing is measured; a gateway that was built to count what runs in it writes its counts when it ends. Whatever
//! none of the loads reaches is compiled to be small, so a new feature of the request path belongs here. Not here: building
//! that gateway and what becomes of its counts (`cargo xtask profile`).

mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::config::{PIPELINE_PATH, by_http2, token, varied, whole_pipeline};
use crate::gateway::{Gateway, Origin};
use crate::http::Request;
use crate::peers::{self, CHUNKED_PATH, CODED_PATH, LARGE_PATH};
use crate::report::{Report, table};
use crate::workspace::{Scope, WorkDir, repository_root};
use crate::wrk::{self, Load};

const END_WITHIN: Duration = Duration::from_secs(30);

/// One load of the load generator. Its share of the time is its weight: the compiler gives most to what it sees most, and
/// loops over the bytes of a response would outweigh what is done once for a request.
struct Training {
    title: &'static str,
    path: &'static str,
    /// In the load generator's language.
    script: &'static str,
    weight: u32,
}

/// Weight of what performance is judged by.
const WHAT_COUNTS: u32 = 12;
/// What a weight is in parts of a run.
const UNIT: u32 = 3;

const SMALL: Training = Training { title: "small responses", path: PIPELINE_PATH, script: "", weight: WHAT_COUNTS };

const PLAIN: [Training; 7] = [
    SMALL,
    Training {
        title: "bodies of requests",
        path: PIPELINE_PATH,
        script: "wrk.method = 'POST'\nwrk.body = string.rep('x', 2048)\n",
        weight: 1,
    },
    Training { title: "large responses", path: LARGE_PATH, script: "", weight: 1 },
    Training {
        title: "responses in chunks",
        path: CHUNKED_PATH,
        script: "wrk.headers['Accept-Encoding'] = 'gzip'\n",
        weight: 1,
    },
    Training { title: "zstd", path: CODED_PATH, script: "wrk.headers['Accept-Encoding'] = 'zstd'\n", weight: 1 },
    Training { title: "br", path: CODED_PATH, script: "wrk.headers['Accept-Encoding'] = 'br'\n", weight: 1 },
    Training { title: "gzip", path: CODED_PATH, script: "wrk.headers['Accept-Encoding'] = 'gzip'\n", weight: 1 },
];

/// Puts the gateway under each load.
///
/// # Errors
/// nginx or wrk is missing, the gateway does not start or does not end well, or an answer is wrong.
pub fn training(scope: &Scope) -> Result<Report> {
    let work = WorkDir::new("training")?;
    let text = fs::read(repository_root()?.join("docs/openapi.json"))?;
    let upstream = peers::varied_upstream(&work, text.get(..64 * 1024).context("the text is short")?)?;
    let upstream = upstream.context("nginx is not installed: apt-get install nginx-light")?;
    let token = token()?;
    let course = Course { scope, work: &work, generator: wrk::find()? };
    let open = work.file("open.yaml", &varied(upstream.address).to_string())?;
    let pipeline = work.file("pipeline.yaml", &whole_pipeline(upstream.address).to_string())?;
    let mut rows = course.clear("plain", &open, &PLAIN, None)?;
    rows.extend(course.clear("pipeline", &pipeline, &[Training { title: "whole pipeline", ..SMALL }], Some(&token))?);
    rows.push(course.tls(&open)?);
    rows.push(course.http2(&open)?);
    Ok(Report {
        key: "training",
        title: "Loads of the profile",
        text: table(&["load", "requests"], &rows),
        goals: Vec::new(),
    })
}

struct Course<'a> {
    scope: &'a Scope,
    work: &'a WorkDir,
    generator: PathBuf,
}

impl Course<'_> {
    fn start(&self, name: &str, config: &Path, more: &[(&str, &str)]) -> Result<Gateway> {
        Gateway::start_with(self.scope, self.work, name, &Origin::File(config), more)
    }

    /// HTTP/1.1.
    fn clear(&self, name: &str, config: &Path, loads: &[Training], bearer: Option<&str>) -> Result<Vec<Vec<String>>> {
        let mut gateway = self.start(name, config, &[])?;
        gateway.ready(Request::get(PIPELINE_PATH, bearer))?;
        let rows = loads.iter().map(|training| self.load(&gateway, training, bearer, false)).collect::<Result<_>>()?;
        gateway.program.finish(END_WITHIN)?;
        Ok(rows)
    }

    /// The same over TLS, which the load generator waits for by itself.
    fn tls(&self, config: &Path) -> Result<Vec<String>> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let certificate = self.work.file("cert.pem", &made.cert.pem())?.display().to_string();
        let key = self.work.file("key.pem", &made.signing_key.serialize_pem())?.display().to_string();
        let files = [("TLS_CERT_FILE", certificate.as_str()), ("TLS_KEY_FILE", key.as_str())];
        let mut gateway = self.start("tls", config, &files)?;
        gateway.listens()?;
        let row = self.load(&gateway, &Training { title: "TLS", weight: 1, ..SMALL }, None, true)?;
        gateway.program.finish(END_WITHIN)?;
        Ok(row)
    }

    /// HTTP/2 to a gateway that speaks it to another one.
    fn http2(&self, config: &Path) -> Result<Vec<String>> {
        let mut behind = self.start("behind", config, &[])?;
        behind.ready(Request::get(PIPELINE_PATH, None))?;
        let before = self.work.file("before.yaml", &by_http2(behind.traffic).to_string())?;
        let mut before = self.start("before", &before, &[])?;
        before.ready(Request::get(PIPELINE_PATH, None))?;
        let requests = streams::run(before.traffic, PIPELINE_PATH, self.scope.run_for / UNIT)?;
        before.program.finish(END_WITHIN)?;
        behind.program.finish(END_WITHIN)?;
        Ok(vec!["HTTP/2, twice".to_owned(), requests.to_string()])
    }

    fn load(&self, gateway: &Gateway, training: &Training, bearer: Option<&str>, tls: bool) -> Result<Vec<String>> {
        let script = self.work.file("script.lua", training.script)?;
        let load = Load {
            tls,
            address: gateway.traffic,
            path: training.path,
            bearer,
            script: Some(&script),
            connections: self.scope.connections,
            run_for: self.scope.run_for * training.weight / UNIT,
        };
        let outcome = wrk::run(&self.generator, &load).context(training.title)?;
        fs::write(&gateway.request_log, "")?;
        Ok(vec![training.title.to_owned(), outcome.requests.to_string()])
    }
}
