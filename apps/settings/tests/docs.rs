//! The documented settings are those that there are.

use std::{fs, path::Path};

use novagate_settings::config_toml;

/// Set, it writes the file instead of comparing it.
const UPDATE: &str = "NOVAGATE_UPDATE_DOCS";

#[test]
fn the_documented_config_file_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.toml");
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(path.with_file_name("")).unwrap();
        fs::write(&path, config_toml()).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == config_toml(), "docs/config.toml is behind the code: {UPDATE}=1 cargo test -p novagate-settings");
}
