//! What becomes of any path: the fuzz target `paths` in `testkit/fuzz`, which includes this file, and the inputs that it has
//! kept.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "kept inputs are files; the crate itself reads none")]

use std::sync::OnceLock;

use http::Method;
use novagate_kernel::Name;
use novagate_routing::{
    Condition, ConditionOn, EncodedSlashes, Expression, HostPattern, HostTemplate, Lookup, NormalPath, PathPattern,
    PathTemplate, RouteMatch, RouteTable, RouteTableBuilder, ValueTest, normalise, normalise_bytes, without_port,
};

#[cfg(test)]
#[path = "../../../testkit/fuzz/src/replay.rs"]
mod replay;

/// Pattern, expression, and templates for path and host.
const ROUTES: [[&str; 4]; 5] = [
    ["/a/{x}/*", "/a/(?<y>[^/]*).*", "/in/{y}-{x}/*", "{x}.internal"],
    ["/b/*", "/b/?(?<y>.?)(?<x>.*?)%?(?<z>.*)", "/in/{z}/{x}{y}E", "{x}.internal:81"],
    ["/c/*", "/c(?<x>/..)?(?<y>.*)", "/{x}/{y}", "a{y}"],
    ["/{x}", "/(?<y>[a-z.]*)[^/]*", "/in/{y}{y}/{x}/z", "{x}"],
    ["/*", "/(?<x>[^%]*%?)(?<y>.*)", "/in/.{x}./%20{y}", "{x}-{y}.internal"],
];

struct Templates {
    path: PathTemplate,
    host: HostTemplate,
}

fn table(slashes: EncodedSlashes) -> RouteTable<Templates> {
    let mut builder = RouteTableBuilder::new();
    for (number, [pattern, expression, path, host]) in ROUTES.into_iter().enumerate() {
        let test = ValueTest::Matches(Expression::parse(expression).unwrap());
        let conditions = vec![Condition { on: ConditionOn::Path, test }];
        let matcher = RouteMatch { conditions, ..RouteMatch::on(PathPattern::parse(pattern).unwrap()) };
        let templates = Templates {
            path: PathTemplate::parse(path, &matcher).unwrap(),
            host: HostTemplate::parse(host, &matcher).unwrap(),
        };
        let name = Name::parse(&format!("route-{number}")).unwrap();
        builder.insert(name, &matcher, slashes, templates).unwrap();
    }
    builder.build().unwrap()
}

fn is_normal(path: &str) -> bool {
    normalise(path).is_ok_and(|again| again.as_str() == path)
}

fn check_templates(path: &NormalPath<'_>) {
    static TABLES: OnceLock<[(EncodedSlashes, RouteTable<Templates>); 3]> = OnceLock::new();
    let all = [EncodedSlashes::Reject, EncodedSlashes::Decode, EncodedSlashes::Keep];
    for (slashes, table) in TABLES.get_or_init(|| all.map(|slashes| (slashes, table(slashes)))) {
        let Lookup::Found(found) = table.find(None, &Method::GET, path, &()) else { continue };
        assert!(is_normal(found.path()) && is_normal(found.stripped_path()));
        if let Ok(told) = found.rewritten_path(&found.value().path) {
            assert!(is_normal(&told), "{told}");
            // However it is cut, nothing leads out of the literal part, and no slash appears that was not there.
            assert!(told.starts_with("/in/") || found.path().starts_with("/c"), "{told}");
            assert!(*slashes == EncodedSlashes::Keep || !told.contains("%2F"), "{told}");
        }
        if let Ok(host) = found.rewritten_host(&found.value().host) {
            assert!(HostPattern::parse(without_port(&host)).is_ok_and(|host| !host.is_wildcard()), "{host}");
        }
    }
}

/// A path that is accepted has one normal form, which has no dot segment, and so has all that is made of it.
pub(crate) fn check(input: &[u8]) {
    let Ok(path) = normalise_bytes(input) else { return };
    let text = path.as_str();
    assert!(is_normal(text) && text.is_ascii());
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        assert!(!matches!(segment, "." | "..") && (!segment.is_empty() || segments.peek().is_none()), "{text}");
    }
    if let Ok(decoded) = path.with_slashes_decoded() {
        assert!(is_normal(decoded.as_str()) && !decoded.as_str().contains("%2F"));
    }
    check_templates(&path);
}

#[test]
fn kept_inputs_have_one_normal_form_and_so_has_what_is_made_of_them() {
    replay::each_kept("paths", check);
}
