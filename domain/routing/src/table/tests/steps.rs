//! How long lookups take, in nodes visited.

use super::*;

/// The nodes with a place that a lookup visits when no route takes the request.
fn visits<T>(table: &RouteTable<T>, host: Option<&str>, path: &str) -> u64 {
    let mut visits = 0;
    let _: ControlFlow<()> = table.trie.walk(host, path, &mut |_| {
        visits += 1;
        ControlFlow::Continue(())
    });
    visits
}

/// A pattern of that many parameters.
fn chain(len: usize) -> String {
    (0..len).fold(String::new(), |chain, at| format!("{chain}/{{p{at}}}"))
}

#[test]
fn all_mixtures_of_literals_and_parameters_visit_each_node_once_and_raise_a_warning() {
    const DEPTH: usize = 12;
    let mut patterns = vec![String::new()];
    let mut builder = RouteTableBuilder::new();
    for depth in 0..=DEPTH {
        for (number, pattern) in patterns.iter().enumerate() {
            let route = name(&format!("r{depth}-{number}"));
            builder.insert(route, &matcher(&format!("GET * {pattern}/*")), EncodedSlashes::Reject, ()).unwrap();
        }
        let longer = |pattern: &String| [format!("{pattern}/a"), format!("{pattern}/{{p{depth}}}")];
        patterns = patterns.iter().flat_map(longer).collect();
    }
    let table = builder.build().unwrap();
    let nodes = (1 << (DEPTH + 1)) - 1;
    assert_eq!(visits(&table, None, &"/a".repeat(DEPTH + 3)), nodes);
    assert_eq!(table.most_steps(), nodes);
    assert_eq!(table.warnings(), [TableWarning::ManySteps { steps: nodes }]);
    assert_eq!(visits(&table, None, "/b"), 2);
}

#[test]
fn many_plain_routes_cost_as_many_steps_as_few() {
    let steps = |routes: usize| {
        let mut builder = RouteTableBuilder::new();
        for number in 0..routes {
            let text = format!("GET h{}.com,*.w{number}.com /s{number}/items/{{id}}", number % 10);
            builder.insert(name(&format!("r{number}")), &matcher(&text), EncodedSlashes::Reject, ()).unwrap();
        }
        builder.build().unwrap().most_steps()
    };
    assert_eq!(steps(10), steps(3_000));
}

#[test]
fn the_deepest_patterns_are_found_and_longer_paths_end_the_lookup() {
    let routes = table(&[("deep", &format!("* * {}/z", chain(63))), ("top", "* * /{x}/*")]);
    let path = "/a".repeat(63);
    assert_eq!(outcome(&routes, &format!("GET - {path}/z")), "deep");
    assert_eq!(outcome(&routes, &format!("GET - {path}/z/{}", "a/".repeat(10_000))), "top");
}

#[test]
fn wildcards_of_a_host_add_up_in_the_bound() {
    let routes = table(&[
        ("a", "GET *.com /x/{y}"),
        ("b", "GET *.b.com /x/{y}"),
        ("c", "GET *.c.com /x/{y}"),
        ("d", "GET d.b.com /x"),
        ("e", "GET * /*"),
    ]);
    assert_eq!(routes.most_steps(), 3 + 3 + 2 + 1);
    assert!(visits(&routes, Some("d.b.com"), "/x/y") <= routes.most_steps());
}

#[test]
fn a_table_that_would_be_too_large_refuses_the_route_and_stays_usable() {
    let hosts: Vec<String> = (0..64).map(|number| format!("h{number}.example")).collect();
    let chain = chain(62);
    let mut builder = RouteTableBuilder::new();
    let mut inserted: usize = 0;
    for number in 0.. {
        let text = format!("GET {} /s{number}{chain}", hosts.join(","));
        if builder.insert(name(&format!("r{number}")), &matcher(&text), EncodedSlashes::Reject, ()).is_err() {
            break;
        }
        inserted += 1;
    }
    assert!((400..600).contains(&inserted), "{inserted}");
    let small = builder.insert(name("small"), &matcher("GET * /x"), EncodedSlashes::Reject, ());
    assert_eq!(small, Ok(RouteIndex(u32::try_from(inserted).unwrap())));
    let table = builder.build().unwrap();
    assert_eq!(table.len(), inserted + 1);
    assert!(matches!(table.find(None, &Method::GET, &normalise("/x").unwrap(), &()), Lookup::Found(_)));
}
