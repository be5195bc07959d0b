//! Temporary folders, and looking for bytes in them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, io};

/// A folder that goes with its value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one; `stem` is part of its name.
    pub fn new(stem: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("novagate-e2e-{}-{number}-{stem}", std::process::id()));
        // An earlier process with the same id may have been killed.
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every file below it.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }

    /// The files below it that hold `needle`, in any case of ASCII letters.
    pub fn files_with(&self, needle: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| find_bytes(&Self::read(path), needle.as_bytes()).is_some();
        self.files().into_iter().filter(holds).collect()
    }

    /// What is in a file. A program at work may remove it between the listing and the reading.
    pub fn read(path: &Path) -> Vec<u8> {
        match fs::read(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                panic!("{} cannot be read: {error}", path.display())
            }
            outcome => outcome.unwrap_or_default(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Where `needle` begins in `hay`, in any case of ASCII letters.
pub fn find_bytes(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, length) = (*needle.first()?, needle.len());
    let starts = hay.iter().enumerate().filter(|(_, byte)| byte.eq_ignore_ascii_case(&first));
    starts.map(|(at, _)| at).find(|&at| hay.get(at..at + length).is_some_and(|part| part.eq_ignore_ascii_case(needle)))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_in_any_case_and_only_whole() {
        assert_eq!(find_bytes(b"xxcaNArY", b"canary"), Some(2));
        assert_eq!(find_bytes(b"cacanary", b"canary"), Some(2));
        assert_eq!(find_bytes(b"canar", b"canary"), None);
        assert_eq!(find_bytes(b"anything", b""), None);
    }
}
