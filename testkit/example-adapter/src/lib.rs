//! An adapter as somebody else would write one: who is connected, as files in a folder that several control nodes share.
//!
//! It shows how an implementation of a port is tested: the contract's suite by one line in `tests/contract.rs`. The page
//! `docs/testing.md` tells the same, and its code is compiled and run with this crate's documentation tests. Not here:
//! anything that ships.

mod folder;

pub use self::folder::FolderPresence;

/// The code of the page is code of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
struct Page;
