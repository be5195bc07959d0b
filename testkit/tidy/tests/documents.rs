//! Pages that are made from the code.

use std::fs;

use novagate_tidy::{errors_page, repository_root};

/// Set, it writes the pages instead of comparing them.
const UPDATE: &str = "NOVAGATE_UPDATE_DOCS";

#[test]
fn the_page_of_errors_lists_exactly_the_codes_there_are() {
    let root = repository_root().unwrap();
    let codes = fs::read_to_string(root.join("domain/kernel/src/codes.rs")).unwrap();
    let (path, expected) = (root.join("docs/errors.md"), errors_page(&codes));
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(&path, &expected).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "docs/errors.md is behind the code: {UPDATE}=1 cargo test -p novagate-tidy");
}
