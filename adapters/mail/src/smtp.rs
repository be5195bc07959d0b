//! Mails by SMTP (RFC 5321) with TLS.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{Mail, Mailer};

use crate::letter::Sender;

/// How long one mail may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long one step of the conversation may take.
const STEP: Duration = Duration::from_secs(10);

/// Why an `SMTP_URL` is not accepted. It never repeats the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmtpSettingsError {
    /// Not such a URL.
    #[error("not smtps://user:password@host:port or smtp://...?tls=required with escaped user and password")]
    Malformed,
}

/// Sends over one connection per mail.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Sender,
}

/// What went wrong, without the server's words: they often repeat the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum SmtpFault {
    #[error("the mail server did not answer in time")]
    Late,
    #[error("the mail server refused with {0}")]
    Refused(u16),
    #[error("no TLS connection to the mail server")]
    Tls,
    #[error("no connection to the mail server")]
    Connection,
}

impl SmtpMailer {
    /// Mails through the server of `url`: `smtps://` for TLS from the start, `smtp://...?tls=required` for STARTTLS.
    /// `smtp://` alone is not encrypted; that is said in the log.
    pub fn new(url: &str, sender: Sender) -> Result<Self, SmtpSettingsError> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| SmtpSettingsError::Malformed)?;
        if !url.starts_with("smtps://") && !url.contains("tls=required") {
            tracing::warn!("mail is sent without enforced TLS: use smtps:// or ?tls=required");
        }
        Ok(Self { transport: builder.timeout(Some(STEP)).build(), sender })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), PortError> {
        let letter = self.sender.write(mail)?;
        let fault = match tokio::time::timeout(DEADLINE, self.transport.send(letter.message)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => fault_of(&error),
            Err(_) => SmtpFault::Late,
        };
        let kind = if fault == SmtpFault::Late { FaultKind::TimedOut } else { FaultKind::Unavailable };
        Err(PortError::new("mail.smtp", kind, fault))
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SmtpMailer(redacted)")
    }
}

fn fault_of(error: &smtp::Error) -> SmtpFault {
    if error.is_timeout() {
        return SmtpFault::Late;
    }
    if error.is_tls() {
        return SmtpFault::Tls;
    }
    error.status().map_or(SmtpFault::Connection, |code| SmtpFault::Refused(code.into()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::letter::tests::{reset_mail, sender};

    /// Serves one SMTP conversation; `answer` is given to `RCPT TO`. Returns what the client said.
    fn serve_once(answer: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        (port, std::thread::spawn(move || converse(listener.accept().unwrap().0, answer)))
    }

    fn converse(mut socket: TcpStream, answer: &str) -> String {
        let mut said = String::new();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        socket.write_all(b"220 test\r\n").unwrap();
        let mut in_data = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return said;
            }
            said.push_str(&line);
            let reply = match line.trim_end() {
                "." if in_data => {
                    in_data = false;
                    "250 ok"
                }
                _ if in_data => continue,
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => {
                    drop(socket.write_all(b"221 bye\r\n"));
                    return said;
                }
                text if text.starts_with("RCPT") => answer,
                _ => "250 ok",
            };
            socket.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
        }
    }

    fn mailer(port: u16) -> SmtpMailer {
        SmtpMailer::new(&format!("smtp://127.0.0.1:{port}"), sender()).unwrap()
    }

    #[tokio::test]
    async fn a_mail_is_handed_to_the_server_with_its_link() {
        let (port, server) = serve_once("250 ok");
        mailer(port).send(&reset_mail()).await.unwrap();
        let said = server.join().unwrap();
        assert!(said.contains("MAIL FROM:<no-reply@novagate.example>"), "{said}");
        assert!(said.contains("RCPT TO:<ada@example.org>"));
        assert!(said.contains(&format!("/reset?token={}\r\n", "cd".repeat(32))));
    }

    #[tokio::test]
    async fn promise_n3_a_refusal_does_not_repeat_the_address() {
        let (port, server) = serve_once("550 5.1.1 <ada@example.org> unknown");
        let fault = mailer(port).send(&reset_mail()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unavailable);
        let source = format!("{fault:?} {}", fault.source);
        assert!(source.contains("550") && !source.contains("ada"), "{source}");
        server.join().unwrap();
    }

    #[tokio::test]
    async fn no_server_is_unavailable() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let fault = mailer(port).send(&reset_mail()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unavailable);
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for url in ["", "http://user:canary@host", "smtps://", "canary"] {
            let error = SmtpMailer::new(url, sender()).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"));
        }
        assert!(SmtpMailer::new("smtps://user:canary@mail.example:465", sender()).is_ok());
    }
}
