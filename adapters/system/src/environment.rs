//! The process environment and files that hold one secret each.
//!
//! Always: a failed read names the kind of failure, never a path or content, because the caller names the setting.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

/// More than any key, URL or password has.
const SECRET_FILE_MAX: u64 = 64 * 1024;

/// Why a secret file gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is not there.
    #[error("the file does not exist")]
    Absent,
    /// This user may not read it.
    #[error("the file may not be read by this user")]
    Denied,
    /// A directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// Over 64 KiB.
    #[error("the file is larger than 64 KiB")]
    TooLarge,
    /// Not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// Anything else.
    #[error("the file cannot be read")]
    Other(#[source] io::Error),
}

/// The name of this machine, or of this container.
pub fn host_name() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

/// All variables whose name and value are UTF-8; ours always are, and others are none of our business.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The whole content of a small text file; links are followed, since orchestrators mount secrets as links.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    // Asked before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(explain)?.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).map_err(explain)?.take(SECRET_FILE_MAX + 1).read_to_end(&mut bytes).map_err(explain)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > SECRET_FILE_MAX) {
        return Err(SecretFileError::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_quoting| SecretFileError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn explain(fault: io::Error) -> SecretFileError {
    if fault.kind() == io::ErrorKind::NotFound {
        SecretFileError::Absent
    } else if fault.kind() == io::ErrorKind::PermissionDenied {
        SecretFileError::Denied
    } else {
        SecretFileError::Other(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("novagate-system-{}-{test}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn write(&self, content: &[u8]) -> PathBuf {
            let path = self.0.join("secret");
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_secret_file_is_read_as_it_is() {
        let dir = Dir::new("whole");
        assert_eq!(read_secret_file(&dir.write(b"hunter2\n")).unwrap().as_str(), "hunter2\n");
    }

    #[test]
    fn a_link_is_followed() {
        let dir = Dir::new("link");
        let link = dir.0.join("link");
        std::os::unix::fs::symlink(dir.write(b"linked"), &link).unwrap();
        assert_eq!(read_secret_file(&link).unwrap().as_str(), "linked");
    }

    #[test]
    fn what_is_no_small_text_file_is_refused_with_its_kind() {
        let dir = Dir::new("refused");
        assert!(matches!(read_secret_file(&dir.0.join("absent")), Err(SecretFileError::Absent)));
        assert!(matches!(read_secret_file(&dir.0), Err(SecretFileError::NotAFile)));
        assert!(matches!(read_secret_file(Path::new("/dev/null")), Err(SecretFileError::NotAFile)));
        assert!(matches!(read_secret_file(&dir.write(&[0xFF, 0xFE])), Err(SecretFileError::NotText)));
        assert!(matches!(read_secret_file(&dir.write(&vec![b'a'; 65_537])), Err(SecretFileError::TooLarge)));
        assert_eq!(read_secret_file(&dir.write(&vec![b'a'; 65_536])).unwrap().len(), 65_536);
    }

    #[test]
    fn the_environment_is_the_one_of_the_process() {
        // Cargo sets this for every test that it runs.
        assert!(environment().iter().any(|(name, value)| name == "CARGO_PKG_NAME" && value == "novagate-system"));
    }
}
