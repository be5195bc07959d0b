//! Where authority may be made: a scope without a check, and the claim that something was checked.

use novagate_tidy::{Offence, RustFile, assert_none, files};

/// A mint, and the files that may name it. Tests and the testkit may name all of them.
const MINTS: &[(&str, &[&str])] = &[
    (
        "TenantScope::for_provisioning",
        &[
            "apps/control-core/src/accounts/mail.rs",
            "apps/control-core/src/accounts/registration.rs",
            // An operator gives a tenant that was just created its first configuration.
            "apps/control/src/tenants.rs",
            // The all-in-one fills the demo tenant that it has created itself.
            "apps/novagate/src/dev/demo.rs",
        ],
    ),
    (
        "TenantScope::for_maintenance",
        &[
            "apps/control-core/src/accounts/mail.rs",
            "apps/control-core/src/accounts/recovery.rs",
            "apps/control-core/src/accounts/session.rs",
            "apps/control-core/src/maintenance.rs",
            "apps/novagate/src/dev/demo.rs",
        ],
    ),
    ("Verified::assert", &["adapters/tokens/src/platform.rs"]),
];

#[test]
fn authority_is_made_in_the_listed_files_only() {
    let files = files().unwrap();
    let mut offences = Vec::new();
    for rust in files.iter().filter_map(RustFile::of) {
        for (mint, permitted) in MINTS.iter().filter(|(_, permitted)| !permitted.contains(&rust.path)) {
            let named = rust.code().filter(|(_, code)| code.contains(mint));
            let what = format!("names {mint}, which is for {}", permitted.join(", "));
            offences.extend(named.map(|(line, _)| Offence::at_line(rust.path, line, what.clone())));
        }
    }
    assert_none("a scope comes from a check; the mints without one have a list of files", offences);
}

#[test]
fn no_file_is_listed_that_makes_no_authority() {
    let files = files().unwrap();
    let sources: Vec<_> = files.iter().filter_map(RustFile::of).collect();
    let mut offences = Vec::new();
    for (mint, permitted) in MINTS {
        let names = |path: &str| {
            sources.iter().any(|rust| rust.path == path && rust.code().any(|(_, code)| code.contains(mint)))
        };
        offences.extend(
            permitted
                .iter()
                .filter(|path| !names(path))
                .map(|path| Offence::at(*path, format!("does not name {mint}"))),
        );
    }
    assert_none("the lists of mints hold no file in vain", offences);
}
