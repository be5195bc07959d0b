//! The contract of mailers, over the outbox and over SMTP.
#![expect(clippy::unwrap_used, reason = "a fixture fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use novagate_contracts::MailerFixture;
use novagate_fixtures::{ManualClock, SeededEntropy};
use novagate_mail::{OutboxMailer, Sender, SmtpMailer};
use novagate_ports_control::outbound::Mailer;

fn sender() -> Sender {
    let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SeededEntropy::new(11)));
    Sender::new("NovaGate <no-reply@novagate.example>", clock, entropy).unwrap()
}

mod outbox {
    use super::*;

    /// Mails in a folder of the case's own.
    struct Outbox {
        folder: PathBuf,
        mailer: Arc<OutboxMailer>,
    }

    impl MailerFixture for Outbox {
        async fn fresh() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("novagate-outbox-{}-{number}", std::process::id()));
            drop(std::fs::remove_dir_all(&folder));
            Self { mailer: Arc::new(OutboxMailer::new(&folder, sender())), folder }
        }

        fn mailer(&self) -> Arc<dyn Mailer> {
            Arc::clone(&self.mailer) as _
        }

        fn accepted(&self) -> Vec<String> {
            let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
            let mails = entries.map(|entry| entry.unwrap().path());
            let mails = mails.filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
            mails.map(|path| std::fs::read_to_string(path).unwrap()).collect()
        }

        fn break_down(&self) {
            drop(std::fs::remove_dir_all(&self.folder));
            std::fs::write(&self.folder, "a file where the folder should be").unwrap();
        }
    }

    impl Drop for Outbox {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.folder));
            drop(std::fs::remove_file(&self.folder));
        }
    }

    novagate_contracts::mailer_contract!(Outbox);
}

mod smtp {
    use super::*;

    /// A mail server on loopback; it ends with its value.
    struct Server {
        port: u16,
        shared: Arc<Shared>,
    }

    #[derive(Default)]
    struct Shared {
        mails: Mutex<Vec<String>>,
        broken: AtomicBool,
        stop: AtomicBool,
    }

    impl MailerFixture for Server {
        async fn fresh() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (port, shared) = (listener.local_addr().unwrap().port(), Arc::<Shared>::default());
            let serving = Arc::clone(&shared);
            std::thread::spawn(move || {
                for socket in listener.incoming().flatten() {
                    if serving.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = Arc::clone(&serving);
                    std::thread::spawn(move || converse(&socket, &shared));
                }
            });
            Self { port, shared }
        }

        fn mailer(&self) -> Arc<dyn Mailer> {
            Arc::new(SmtpMailer::new(&format!("smtp://127.0.0.1:{}", self.port), sender()).unwrap())
        }

        fn accepted(&self) -> Vec<String> {
            self.shared.mails.lock().unwrap().clone()
        }

        fn break_down(&self) {
            self.shared.broken.store(true, Ordering::Relaxed);
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.shared.stop.store(true, Ordering::Relaxed);
            // Wakes the accepting thread.
            drop(TcpStream::connect(("127.0.0.1", self.port)));
        }
    }

    /// One conversation (RFC 5321). A broken server repeats the recipient in its refusal, as many do.
    fn converse(socket: &TcpStream, shared: &Shared) {
        let mut lines = BufReader::new(socket);
        let say = |text: &str| {
            let mut writer = socket;
            writer.write_all(format!("{text}\r\n").as_bytes())
        };
        let mut heard = String::new();
        let mut spoken = say("220 test");
        while spoken.is_ok() {
            heard.clear();
            if lines.read_line(&mut heard).unwrap_or(0) == 0 {
                return;
            }
            spoken = match heard.trim_end() {
                "DATA" => {
                    let mail = say("354 go on").ok().and_then(|()| read_mail(&mut lines));
                    let Some(mail) = mail else { return };
                    shared.mails.lock().unwrap().push(mail);
                    say("250 ok")
                }
                "QUIT" => return drop(say("221 bye")),
                rcpt if rcpt.starts_with("RCPT") && shared.broken.load(Ordering::Relaxed) => {
                    say(&format!("450 4.2.0 {rcpt}: try later"))
                }
                _ => say("250 ok"),
            };
        }
    }

    /// Up to the line with a dot, dots undone (RFC 5321, section 4.5.2).
    fn read_mail(lines: &mut BufReader<&TcpStream>) -> Option<String> {
        let mut mail = String::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == ".\r\n" {
                return Some(mail);
            }
            mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        }
    }

    novagate_contracts::mailer_contract!(Server);
}
