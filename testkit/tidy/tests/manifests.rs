//! Every crate's `Cargo.toml`: lints and versions come from the root, dependencies are sorted and used.

use novagate_tidy::{Crate, DependencyLine, File, Manifest, Offence, RustFile, assert_none, crates, files, has_word};

const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

#[test]
fn lints_and_package_fields_come_from_the_workspace() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for each in &crates().unwrap() {
        let (path, manifest) = manifest_of(each, &files);
        if manifest.lints != ["workspace = true"] {
            offences.push(Offence::at(&path, "needs `[lints] workspace = true`"));
        }
        for field in INHERITED {
            if !manifest.package.contains(&format!("{field}.workspace = true")) {
                offences.push(Offence::at(&path, format!("needs `{field}.workspace = true`")));
            }
        }
    }
    assert_none("lints, versions and the licence are said once, in the root", offences);
}

#[test]
fn dependencies_are_inherited_sorted_and_named_once() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for each in &crates().unwrap() {
        let (path, manifest) = manifest_of(each, &files);
        for line in manifest.dependencies.iter().filter(|line| !line.is_inherited()) {
            offences.push(Offence::at_line(&path, line.line, format!("{} needs `.workspace = true`", line.name)));
        }
        for pair in manifest.dependencies.windows(2) {
            let [before, line] = pair else { continue };
            if before.section == line.section && !may_follow(before, line) {
                offences.push(Offence::at_line(&path, line.line, format!("{} is not in its place", line.name)));
            }
        }
        for line in manifest.dependencies.iter().filter(|line| is_said_again(line, &manifest)) {
            offences.push(Offence::at_line(&path, line.line, format!("{} is a dependency already", line.name)));
        }
    }
    assert_none("dependencies come from the root, in order, each once", offences);
}

/// By name or, as `sort` does it, by line; they differ where one name begins another.
fn may_follow(before: &DependencyLine, line: &DependencyLine) -> bool {
    before.name < line.name || (before.name != line.name && before.to_string() < line.to_string())
}

/// A dependency of tests may add features to one that ships, nothing else.
fn is_said_again(line: &DependencyLine, manifest: &Manifest) -> bool {
    let shipped = |other: &DependencyLine| other.section == "dependencies" && other.name == line.name;
    line.section == "dev-dependencies" && line.is_plain() && manifest.dependencies.iter().any(shipped)
}

#[test]
fn every_dependency_is_used() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for each in &crates().unwrap() {
        let (path, manifest) = manifest_of(each, &files);
        let inside = format!("{}/", each.folder);
        let sources: Vec<_> =
            files.iter().filter(|file| file.path.starts_with(&inside)).filter_map(RustFile::of).collect();
        for line in &manifest.dependencies {
            let name = line.name.replace('-', "_");
            let ships = line.section == "dependencies" && !each.folder.starts_with("testkit/");
            let in_code = sources.iter().flat_map(RustFile::code).any(|(_, code)| names_crate(code, &name));
            let in_tests = || sources.iter().flat_map(RustFile::tests).any(|(_, code)| names_crate(code, &name));
            if !in_code && (ships || !in_tests()) {
                offences.push(Offence::at_line(&path, line.line, format!("{} is not used", line.name)));
            }
        }
    }
    assert_none("no dependency without use; what only tests use is a dev-dependency", offences);
}

/// `name::`, `use name;` or `use name as`.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let as_path =
        code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(is_part) || code[..at].ends_with("use ::"));
    as_path || (code.trim_start().starts_with("use ") && has_word(code, name) && !code.contains("::"))
}

fn manifest_of(each: &Crate, files: &[File]) -> (String, Manifest) {
    let path = format!("{}/Cargo.toml", each.folder);
    let file = files.iter().find(|file| file.path == path);
    (path, file.map(|file| Manifest::parse(&file.text)).unwrap_or_default())
}
