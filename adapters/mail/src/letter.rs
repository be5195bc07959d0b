//! What the mails say.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, MIME_VERSION_1_0};
use lettre::message::{Body, Mailbox};
use novagate_kernel::{Timestamp, encode_hex};
use novagate_ports_base::{Clock, Entropy, FaultKind, PortError};
use novagate_ports_control::outbound::{Mail, MailKind};

/// The longest link, in bytes: a line of mail has 998 at most (RFC 5322, section 2.1.1).
const MAX_LINK: usize = 900;

/// Why a sender is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    /// Not a mailbox.
    #[error("not a mailbox as NovaGate <no-reply@example.com>")]
    Malformed,
}

/// In whose name mails are written, with the clock and randomness for their `Date` and `Message-ID`.
#[derive(Clone)]
pub struct Sender {
    mailbox: Mailbox,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A mail ready to be sent, with what its file is called.
pub(crate) struct Letter {
    pub(crate) message: Message,
    pub(crate) stem: String,
}

/// A reason that may be logged: it has no place for an address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unwritable(&'static str);

impl Sender {
    /// Mails from `mailbox`: an address, or a name with an address in angle brackets.
    pub fn new(mailbox: &str, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, SenderError> {
        if mailbox.chars().any(char::is_control) {
            return Err(SenderError::Malformed);
        }
        let mailbox = mailbox.parse().map_err(|_| SenderError::Malformed)?;
        Ok(Self { mailbox, clock, entropy })
    }

    pub(crate) fn write(&self, mail: &Mail) -> Result<Letter, PortError> {
        let misuse = |why: &'static str| PortError::new("mail.send", FaultKind::Misuse, Unwritable(why));
        let recipient = mail.to.as_str().parse().map_err(|_| misuse("the recipient is not an address"))?;
        let body = body_of(&mail.kind).ok_or_else(|| misuse("the link is not one line of visible ASCII"))?;
        let (now, random) = (self.clock.now(), encode_hex(&self.entropy.bytes::<16>()));
        let message = Message::builder()
            .from(self.mailbox.clone())
            .to(Mailbox::new(None, recipient))
            .subject(subject_of(&mail.kind))
            .date(system_time(now))
            .message_id(Some(format!("<{random}@{}>", self.mailbox.email.domain())))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(seven_bit(&body))
            .map_err(|_| misuse("the mail cannot be written"))?;
        Ok(Letter { message, stem: format!("{:020}-{random}", now.as_micros().max(0)) })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sender(redacted)")
    }
}

const fn subject_of(kind: &MailKind) -> &'static str {
    match kind {
        MailKind::Verify { .. } => "Confirm your address for NovaGate",
        MailKind::AlreadyRegistered => "You already have a NovaGate account",
        MailKind::Reset { .. } => "Set a new password for NovaGate",
        MailKind::PasswordChanged => "Your NovaGate password was changed",
    }
}

/// `None`: the link could break out of its line.
fn body_of(kind: &MailKind) -> Option<String> {
    let text = match kind {
        MailKind::Verify { link } => format!(
            "Somebody, probably you, registered at NovaGate with this address.\n\n\
             To confirm it and to choose a password, open this link within one hour:\n\n{}\n\n\
             If it was not you, do nothing: without the link there is no account.\n",
            one_line(link)?
        ),
        MailKind::AlreadyRegistered => {
            "Somebody, probably you, registered at NovaGate with this address, which already has an account.\n\n\
             Log in with your password; if you have forgotten it, ask for a new one on the same page.\n\
             If it was not you, do nothing: nothing was changed.\n"
                .to_owned()
        }
        MailKind::Reset { link } => format!(
            "Somebody, probably you, asked for a new password for the NovaGate account of this address.\n\n\
             To choose one, open this link within one hour:\n\n{}\n\n\
             It works once. If it was not you, do nothing: your password stays as it is.\n",
            one_line(link)?
        ),
        MailKind::PasswordChanged => {
            "The password of your NovaGate account was changed, and every session was ended.\n\n\
             If it was not you, ask for a new password at once, and tell security@novagate.dev.\n"
                .to_owned()
        }
    };
    Some(text)
}

/// The text as it is: ASCII in lines below 998 characters (RFC 5322, section 2.1.1). The library would choose
/// quoted-printable and break the link, which people copy out of the outbox.
fn seven_bit(text: &str) -> Body {
    Body::dangerous_pre_encoded(text.replace('\n', "\r\n").into_bytes(), ContentTransferEncoding::SevenBit)
}

fn one_line(link: &str) -> Option<&str> {
    ((1..=MAX_LINK).contains(&link.len()) && link.bytes().all(|byte| byte.is_ascii_graphic())).then_some(link)
}

fn system_time(at: Timestamp) -> SystemTime {
    // The header has whole seconds and years up to 9999.
    let seconds = at.as_seconds().clamp(0, 253_402_300_799);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
pub(crate) mod tests {
    use novagate_access::{EmailAddress, EmailKey};

    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_767_323_045)
        }
    }

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xab);
        }
    }

    pub(crate) fn sender() -> Sender {
        Sender::new("NovaGate <no-reply@novagate.example>", Arc::new(Fixed), Arc::new(Fixed)).unwrap()
    }

    pub(crate) fn reset_mail() -> Mail {
        Mail {
            to: EmailAddress::parse("ada@example.org").unwrap().key(),
            kind: MailKind::Reset { link: format!("https://console.example/reset?token={}", "cd".repeat(32)) },
        }
    }

    fn text(mail: &Mail) -> String {
        String::from_utf8(sender().write(mail).unwrap().message.formatted()).unwrap()
    }

    #[test]
    fn promise_c5_the_link_stands_in_the_body_whole_and_nowhere_else() {
        let text = text(&reset_mail());
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let token = "cd".repeat(32);
        assert!(body.contains(&format!("\r\nhttps://console.example/reset?token={token}\r\n")), "{body}");
        assert_eq!(text.matches(&token).count(), 1);
        assert!(!head.contains("token"));
    }

    #[test]
    fn a_mail_has_the_headers_that_mail_needs() {
        let text = text(&reset_mail());
        for line in [
            "From: NovaGate <no-reply@novagate.example>",
            "To: ada@example.org",
            "Subject: Set a new password for NovaGate",
            "Date: Fri, 02 Jan 2026 03:04:05 +0000",
            "Message-ID: <abababababababababababababababab@novagate.example>",
            "MIME-Version: 1.0",
            "Content-Transfer-Encoding: 7bit",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line}\n{text}");
        }
    }

    #[test]
    fn nothing_can_become_a_header() {
        let hostile = "ada@example.org\r\nBcc: eve@example.org";
        let mail = Mail { to: EmailKey::from_stored(hostile), kind: MailKind::PasswordChanged };
        assert!(sender().write(&mail).is_err());
        for link in [
            "https://a.example/\r\n.\r\nMAIL FROM:<eve@example.org>",
            "https://a.example/ x",
            "",
            "https://ä.example/",
            &"x".repeat(901),
        ] {
            let mail = Mail { kind: MailKind::Verify { link: link.to_owned() }, ..reset_mail() };
            let fault = sender().write(&mail).err().unwrap();
            assert_eq!(fault.kind, FaultKind::Misuse);
            assert!(!format!("{fault:?}").contains("example"));
        }
        assert!(Sender::new("a@b.co\r\nBcc: c@d.ef", Arc::new(Fixed), Arc::new(Fixed)).is_err());
        assert!(Sender::new("nobody", Arc::new(Fixed), Arc::new(Fixed)).is_err());
    }

    #[test]
    fn every_kind_has_a_text_of_its_own() {
        let link = "https://a.example/x".to_owned();
        let kinds = [
            MailKind::Verify { link: link.clone() },
            MailKind::AlreadyRegistered,
            MailKind::Reset { link },
            MailKind::PasswordChanged,
        ];
        let texts: std::collections::BTreeSet<String> =
            kinds.into_iter().map(|kind| text(&Mail { kind, ..reset_mail() })).collect();
        assert_eq!(texts.len(), 4);
        assert!(texts.iter().all(|text| text.is_ascii()));
    }
}
