//! The contract of [`Mailer`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use novagate_access::{EmailAddress, EmailKey};
use novagate_fixtures::{assert_no_canary, canary};
use novagate_ports_base::FaultKind;
use novagate_ports_control::outbound::{Mail, MailKind, Mailer};

/// A mailer for one case, and what arrives at its other end.
pub trait MailerFixture: Sized + Send + Sync {
    /// A mailer that has sent nothing.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The mailer.
    fn mailer(&self) -> Arc<dyn Mailer>;

    /// Every mail that the other end has accepted, as it is on the wire (RFC 5322).
    fn accepted(&self) -> Vec<String>;

    /// From now on the other end takes nothing.
    fn break_down(&self);
}

/// Runs the suite of mailers over a [`MailerFixture`](crate::MailerFixture).
#[macro_export]
macro_rules! mailer_contract {
    ($fixture:ty) => {
        $crate::cases!(
            mailer, $fixture:
            a_mail_that_was_sent_is_with_the_other_end,
            every_kind_of_mail_is_sent,
            a_link_arrives_in_one_piece,
            mails_at_one_moment_all_arrive,
            each_mail_has_one_recipient,
            a_link_that_could_forge_headers_is_refused,
            a_failure_is_told_without_address_and_link,
        );
    };
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn address(text: &str) -> EmailKey {
    EmailAddress::parse(text).expect("an address").key()
}

fn link() -> String {
    format!("https://control.example.org/reset-password#token={TOKEN}")
}

fn reset_to(text: &str) -> Mail {
    Mail { to: address(text), kind: MailKind::Reset { link: link() } }
}

pub async fn a_mail_that_was_sent_is_with_the_other_end<F: MailerFixture>() {
    let fixture = F::fresh().await;
    assert!(fixture.accepted().is_empty());
    fixture.mailer().send(&reset_to("ada@example.org")).await.unwrap();
    let accepted = fixture.accepted();
    assert_eq!(accepted.len(), 1);
    for field in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: "] {
        assert_eq!(lines_with(&accepted[0], field), 1, "{field}\n{}", accepted[0]);
    }
    assert!(accepted[0].contains("To: ada@example.org"), "{}", accepted[0]);
}

pub async fn every_kind_of_mail_is_sent<F: MailerFixture>() {
    let fixture = F::fresh().await;
    let kinds = || {
        [
            MailKind::Verify { link: link() },
            MailKind::AlreadyRegistered,
            MailKind::Reset { link: link() },
            MailKind::PasswordChanged,
        ]
    };
    for kind in kinds() {
        fixture.mailer().send(&Mail { to: address("ada@example.org"), kind }).await.unwrap();
    }
    assert_eq!(fixture.accepted().len(), kinds().len());
}

pub async fn a_link_arrives_in_one_piece<F: MailerFixture>() {
    let fixture = F::fresh().await;
    fixture.mailer().send(&reset_to("ada@example.org")).await.unwrap();
    let mail = fixture.accepted().remove(0);
    assert!(mail.contains(&format!("{}\r\n", link())), "{mail}");
}

pub async fn mails_at_one_moment_all_arrive<F: MailerFixture>() {
    let fixture = F::fresh().await;
    let mails: Vec<Mail> = (0..8).map(|number| reset_to(&format!("user{number}@example.org"))).collect();
    let mailer = fixture.mailer();
    for outcome in join_all(mails.iter().map(|mail| mailer.send(mail))).await {
        outcome.unwrap();
    }
    let accepted = fixture.accepted();
    assert_eq!(accepted.len(), mails.len());
    for number in 0..mails.len() {
        let to = format!("To: user{number}@example.org");
        assert_eq!(accepted.iter().filter(|mail| mail.contains(&to)).count(), 1, "{to}");
    }
}

pub async fn each_mail_has_one_recipient<F: MailerFixture>() {
    let fixture = F::fresh().await;
    for name in ["ada", "bob"] {
        fixture.mailer().send(&reset_to(&format!("{name}@example.org"))).await.unwrap();
    }
    for mail in fixture.accepted() {
        assert_ne!(mail.contains("ada@example.org"), mail.contains("bob@example.org"), "{mail}");
    }
}

pub async fn a_link_that_could_forge_headers_is_refused<F: MailerFixture>() {
    let fixture = F::fresh().await;
    for link in [format!("{}\r\nBcc: eve@example.org", link()), format!("{}\n.\n", link()), "ü".to_owned()] {
        let mail = Mail { to: address("ada@example.org"), kind: MailKind::Reset { link } };
        let fault = fixture.mailer().send(&mail).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Misuse, "trying again is no use");
    }
    assert!(fixture.accepted().is_empty());
}

pub async fn a_failure_is_told_without_address_and_link<F: MailerFixture>() {
    let fixture = F::fresh().await;
    fixture.break_down();
    let mail = Mail {
        to: address(&format!("{}@example.org", canary("to").to_lowercase())),
        kind: MailKind::Reset { link: format!("https://control.example.org/#token={}", canary("token")) },
    };
    let fault = fixture.mailer().send(&mail).await.unwrap_err();
    assert!(fault.kind.is_retryable(), "{:?}", fault.kind);
    let said = format!("{fault} {fault:?} {} {:?}", fault.source, fault.source);
    assert_no_canary("the fault", &said);
    assert!(!said.contains("example.org"), "{said}");
    assert!(fixture.accepted().is_empty());
}

fn lines_with(mail: &str, start: &str) -> usize {
    mail.split("\r\n").take_while(|line| !line.is_empty()).filter(|line| line.starts_with(start)).count()
}
