//! Who may depend on whom. The request path cannot call the control plane, by construction.

use std::collections::{BTreeSet, HashMap};

use novagate_tidy::{Crate, Layer, Offence, assert_none, crates};

/// Arrows that the layers alone would not allow: from, to, why.
const PERMITTED: &[(&str, &str, &str)] = &[
    ("ports/base", "domain/kernel", "ids and times are in every port's words"),
    ("ports/base", "domain/policies", "ObjectCodec speaks of ConfigObject"),
    ("ports/control", "ports/base", "PortError and the world"),
    ("ports/edge", "ports/base", "PortError and the world"),
    ("domain/policies", "domain/access", "credentials are decided on"),
    ("domain/policies", "domain/routing", "compiled routes stand in the routing table"),
    ("adapters/store-sql", "migrations", "the tables that its statements name"),
    ("migrations", "domain/kernel", "names of kinds in constraints"),
    ("apps/settings", "domain/kernel", "typed settings are in the domain's types"),
    ("apps/settings", "domain/access", "a gateway key is checked where it is read"),
    ("apps/novagate", "apps/control", "the all-in-one runs both programs"),
    ("apps/novagate", "apps/gateway", "the all-in-one runs both programs"),
];

/// Adapters that any adapter may use.
const SHARED_ADAPTERS: [&str; 2] = ["adapters/documents", "adapters/net"];

/// What the request path never reaches, through whatever crates.
const CLOSED_TO_THE_EDGE: [&str; 5] =
    ["ports/control", "adapters/sync-client", "adapters/store-memory", "adapters/store-sql", "migrations"];
const EDGE: [&str; 2] = ["adapters/http-edge", "apps/edge-core"];

#[test]
fn every_arrow_points_inward() {
    let mut offences = Vec::new();
    for from in &crates().unwrap() {
        for dependency in &from.dependencies {
            let Some(to) = &dependency.folder else { continue };
            let layer = Layer::of(to).unwrap();
            let allowed = if dependency.for_tests { layer != Layer::Program } else { may_use(from, to, layer) };
            if !allowed {
                offences.push(Offence::at(format!("{}/Cargo.toml", from.folder), format!("must not depend on {to}")));
            }
        }
    }
    assert_none("apps -> adapters -> ports -> domain -> domain/kernel, and nothing shipped -> testkit", offences);
}

fn may_use(from: &Crate, to: &str, layer: Layer) -> bool {
    let by_layer = match from.layer {
        Layer::Domain => to == "domain/kernel",
        Layer::Ports if from.folder == "ports/base" => false,
        Layer::Ports => layer == Layer::Domain,
        Layer::Core => matches!(layer, Layer::Domain | Layer::Ports),
        Layer::Adapters => matches!(layer, Layer::Domain | Layer::Ports) || SHARED_ADAPTERS.contains(&to),
        Layer::Settings | Layer::Migrations => false,
        Layer::Program => !matches!(layer, Layer::Program | Layer::Testkit),
        Layer::Testkit => true,
    };
    by_layer || PERMITTED.iter().any(|(permitted, target, _)| *permitted == from.folder && *target == to)
}

#[test]
fn the_request_path_reaches_neither_storage_nor_the_control_plane() {
    let crates = crates().unwrap();
    let arrows: HashMap<&str, &Crate> = crates.iter().map(|each| (each.folder.as_str(), each)).collect();
    let mut offences = Vec::new();
    for start in EDGE {
        let (mut seen, mut open) = (BTreeSet::from([start]), vec![vec![start]]);
        while let Some(way) = open.pop() {
            for to in shipped(arrows[way[way.len() - 1]]).filter(|to| seen.insert(*to)) {
                let longer: Vec<_> = way.iter().copied().chain([to]).collect();
                if CLOSED_TO_THE_EDGE.contains(&to) {
                    offences.push(Offence::at(start, format!("reaches {to}: {}", longer.join(" -> "))));
                }
                open.push(longer);
            }
        }
    }
    assert_none("http-edge and edge-core never lead to sync-client, a store or ports/control", offences);
}

fn shipped(from: &Crate) -> impl Iterator<Item = &str> {
    from.dependencies
        .iter()
        .filter(|dependency| !dependency.for_tests)
        .filter_map(|dependency| dependency.folder.as_deref())
}
