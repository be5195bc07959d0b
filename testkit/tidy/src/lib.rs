//! What the tests over the tree read: the files, the crates and their arrows, the manifests, the promises.
//!
//! Always: every offence is found before a test fails, and each is told with its place and the rule. Not here: the rules,
//! which are the tests of this crate; how code behaves.

mod crates;
mod errors_page;
mod manifest;
mod offence;
mod rust;
mod tree;

pub use self::{
    crates::{Crate, Dependency, Layer, crates},
    errors_page::errors_page,
    manifest::{DependencyLine, Manifest},
    offence::{Offence, assert_none},
    rust::{RustFile, has_word, is_rust_test},
    tree::{File, files, repository_root},
};
