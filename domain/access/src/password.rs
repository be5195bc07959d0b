//! Passwords of platform accounts.

use std::fmt;

use zeroize::Zeroizing;

/// Which rule a password breaks; never the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Shorter than the minimum.
    #[error("must have at least 10 characters")]
    TooShort,
    /// Longer than bcrypt can tell apart; cutting it silently would accept wrong passwords.
    #[error("must have at most 72 bytes in UTF-8")]
    TooLong,
    /// A NUL, at which bcrypt would stop.
    #[error("must not contain control characters")]
    ControlCharacter,
}

/// What a new password must satisfy (NIST SP 800-63B, section 3.1.1: length, no composition rules).
#[derive(Debug, Clone, Copy)]
pub struct PasswordRules;

impl PasswordRules {
    /// Fewest characters.
    pub const MIN_CHARS: usize = 10;
    /// Most bytes: bcrypt's input limit.
    pub const MAX_BYTES: usize = 72;

    /// Accepts a new password or says which rule it breaks.
    pub fn check(text: String) -> Result<Password, PasswordError> {
        let password = Password(Zeroizing::new(text));
        if password.0.len() > Self::MAX_BYTES {
            return Err(PasswordError::TooLong);
        }
        if password.0.chars().any(char::is_control) {
            return Err(PasswordError::ControlCharacter);
        }
        if password.0.chars().count() < Self::MIN_CHARS {
            return Err(PasswordError::TooShort);
        }
        Ok(password)
    }
}

/// A plaintext password in memory; erased when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// A password that somebody presents at login: any text, since old rules may have been other ones.
    pub fn presented(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether a hash of it can exist at all; when not, a login with it fails like any wrong password.
    pub fn can_be_hashed(&self) -> bool {
        self.0.len() <= PasswordRules::MAX_BYTES && !self.0.contains('\0')
    }

    /// The plaintext, for the hashing adapter.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

/// A bcrypt hash in its modular crypt format (`$2b$10$...`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// Wraps a hash that the hashing adapter or storage produced.
    pub fn from_modular_crypt(text: &str) -> Self {
        Self(text.into())
    }

    /// The modular crypt text, for storage and the hashing adapter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<PasswordError> {
        PasswordRules::check(text.to_owned()).err()
    }

    #[test]
    fn promise_c1_a_password_over_72_bytes_is_refused_not_cut() {
        assert_eq!(refusal(&"a".repeat(72)), None);
        assert_eq!(refusal(&"a".repeat(73)), Some(PasswordError::TooLong));
        assert_eq!(refusal(&"é".repeat(37)), Some(PasswordError::TooLong));
        assert!(!Password::presented("a".repeat(73)).can_be_hashed());
    }

    #[test]
    fn short_passwords_and_control_characters_are_refused() {
        assert_eq!(refusal("ninechars"), Some(PasswordError::TooShort));
        assert_eq!(refusal("ten chars\0 and more"), Some(PasswordError::ControlCharacter));
        assert_eq!(refusal("ten chars\n and more"), Some(PasswordError::ControlCharacter));
        assert_eq!(refusal("correct horse battery staple"), None);
    }

    #[test]
    fn a_password_never_prints() {
        assert_eq!(format!("{:?}", Password::presented("canary".to_owned())), "Password(redacted)");
    }
}
