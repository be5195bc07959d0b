//! Mail: by SMTP, or as files in an outbox folder for development.
//!
//! Always: subjects and texts are fixed English; the recipient is an address that has been parsed twice, so nothing of a
//! request can become a header; a link stands in the body and nowhere else; no error names an address. Not here: who is
//! written to and when (`apps/control-core`).

mod letter;
mod outbox;
mod smtp;

pub use self::{
    letter::{Sender, SenderError},
    outbox::OutboxMailer,
    smtp::{SmtpMailer, SmtpSettingsError},
};
