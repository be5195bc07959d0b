//! Mails as files, for development and for control planes without SMTP.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{Mail, Mailer};
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use crate::letter::Sender;

/// Writes each mail to a folder as `<microseconds>-<random>.eml`, readable by its owner alone: it holds a working link.
#[derive(Debug)]
pub struct OutboxMailer {
    folder: PathBuf,
    sender: Sender,
}

impl OutboxMailer {
    /// Mails to `folder`, which is made with the first one.
    pub fn new(folder: impl Into<PathBuf>, sender: Sender) -> Self {
        Self { folder: folder.into(), sender }
    }

    async fn store(&self, stem: &str, text: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).await?;
        let unfinished = self.folder.join(format!(".{stem}.tmp"));
        let outcome = self.store_at(&unfinished, stem, text).await;
        if outcome.is_err() {
            // Best effort: the first error is the one that counts.
            drop(fs::remove_file(&unfinished).await);
        }
        outcome
    }

    /// A reader of the folder sees a whole mail or none.
    async fn store_at(&self, unfinished: &Path, stem: &str, text: &[u8]) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).await?;
        file.write_all(text).await?;
        file.sync_all().await?;
        fs::rename(unfinished, self.folder.join(format!("{stem}.eml"))).await
    }
}

#[async_trait]
impl Mailer for OutboxMailer {
    async fn send(&self, mail: &Mail) -> Result<(), PortError> {
        let letter = self.sender.write(mail)?;
        self.store(&letter.stem, &letter.message.formatted())
            .await
            .map_err(PortError::wrap("mail.outbox", FaultKind::Unavailable))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::letter::tests::{reset_mail, sender};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("novagate-mail-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        folder
    }

    #[tokio::test]
    async fn a_mail_becomes_one_file_that_only_its_owner_reads() {
        let folder = folder("one");
        OutboxMailer::new(&folder, sender()).send(&reset_mail()).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].extension().unwrap(), "eml");
        assert_eq!(std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(std::fs::read_to_string(&files[0]).unwrap().contains(&"cd".repeat(32)));
        assert!(!files[0].to_string_lossy().contains("ada"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_said_without_the_address() {
        let folder = folder("blocked");
        std::fs::write(&folder, "a file where the folder should be").unwrap();
        let fault = OutboxMailer::new(&folder, sender()).send(&reset_mail()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unavailable);
        assert!(!format!("{fault:?}").contains("ada@"));
        std::fs::remove_file(&folder).unwrap();
    }
}
