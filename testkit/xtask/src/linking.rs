//! How the programs of the tests become static: this program stands between cargo and rustc, and links them so.
//!
//! Always: nothing but the last step of each program changes, so that every library is compiled once for all packages. `cargo
//! rustc` takes one package at a time, and each package alone has feature sets of its own. Not here: published programs,
//! which are compiled for it as a whole (`steps::dist`).

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

/// Set for a cargo that shall link programs statically; without it this program is never a wrapper.
const ROLE: &str = "NOVAGATE_XTASK_LINKS_STATICALLY";

/// Lets a cargo link the programs of the workspace statically and without symbols.
pub(crate) fn statically(cargo: &mut Command) -> Result<()> {
    let this = std::env::current_exe().context("the task runner does not know where it is")?;
    cargo.env("RUSTC_WORKSPACE_WRAPPER", this).env(ROLE, "1");
    Ok(())
}

/// The exit code of rustc, when this process was started in its place.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    std::env::var_os(ROLE)?;
    let mut words = std::env::args_os().skip(1);
    let rustc = words.next()?;
    let arguments: Vec<OsString> = words.collect();
    let mut command = Command::new(rustc);
    command.args(&arguments);
    if is_program(&arguments) {
        command.args(["-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
    }
    let status = command.status().ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(status.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A program of ours and not a build script, which must be able to load the macros of others.
fn is_program(arguments: &[OsString]) -> bool {
    let value_of = |name: &str| {
        let place = arguments.iter().position(|word| word == name)?;
        arguments.get(place + 1)?.to_str()
    };
    value_of("--crate-type") == Some("bin") && value_of("--crate-name").is_some_and(|name| name.starts_with("novagate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_linked(words: &str) -> bool {
        is_program(&words.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_programs_of_ours_are_linked_otherwise() {
        assert!(is_linked("--crate-name novagate_gateway src/main.rs --crate-type bin --emit=dep-info,link"));
        assert!(!is_linked("--crate-name novagate_gateway src/lib.rs --crate-type lib"));
        assert!(!is_linked("--crate-name build_script_build build.rs --crate-type bin"));
        assert!(!is_linked("- --crate-name ___ --print=file-names --crate-type bin"));
    }
}
