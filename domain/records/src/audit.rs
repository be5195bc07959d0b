//! Who changed what.

use novagate_kernel::{AuditId, Name, ObjectRef, Revision, Timestamp};
use uuid::Uuid;

/// Who acted. Accounts are named by their tenant, never by an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The tenant's account, over the API.
    Account,
    /// An operator of the control plane, on its command line.
    Operator,
    /// The control plane by itself: seeding, retention.
    System,
}

impl Actor {
    /// The word in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Operator => "operator",
            Self::System => "system",
        }
    }

    /// The opposite of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Account, Self::Operator, Self::System].into_iter().find(|actor| actor.as_str() == word)
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A tenant came into being.
    TenantCreated,
    /// Its name changed.
    TenantRenamed,
    /// The account logged in.
    LoggedIn,
    /// All its tokens were ended.
    LoggedOut,
    /// The password was changed or reset.
    PasswordChanged,
    /// A gateway key was made.
    GatewayKeyCreated,
    /// A gateway key was revoked.
    GatewayKeyRevoked,
    /// A config object was created.
    ObjectCreated,
    /// A config object was changed.
    ObjectUpdated,
    /// A config object was deleted.
    ObjectDeleted,
    /// The whole configuration was put.
    ConfigApplied,
    /// An earlier revision was put back.
    ConfigRolledBack,
    /// A node was forgotten.
    NodeForgotten,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 13] = [
        Self::TenantCreated,
        Self::TenantRenamed,
        Self::LoggedIn,
        Self::LoggedOut,
        Self::PasswordChanged,
        Self::GatewayKeyCreated,
        Self::GatewayKeyRevoked,
        Self::ObjectCreated,
        Self::ObjectUpdated,
        Self::ObjectDeleted,
        Self::ConfigApplied,
        Self::ConfigRolledBack,
        Self::NodeForgotten,
    ];

    /// The word in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantCreated => "tenant.created",
            Self::TenantRenamed => "tenant.renamed",
            Self::LoggedIn => "account.logged_in",
            Self::LoggedOut => "account.logged_out",
            Self::PasswordChanged => "account.password_changed",
            Self::GatewayKeyCreated => "gateway_key.created",
            Self::GatewayKeyRevoked => "gateway_key.revoked",
            Self::ObjectCreated => "object.created",
            Self::ObjectUpdated => "object.updated",
            Self::ObjectDeleted => "object.deleted",
            Self::ConfigApplied => "config.applied",
            Self::ConfigRolledBack => "config.rolled_back",
            Self::NodeForgotten => "node.forgotten",
        }
    }

    /// The opposite of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// One entry of a tenant's audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: AuditAction,
    /// The config object it was done to.
    pub object: Option<ObjectRef>,
    /// That object's name, as the tenant wrote it.
    pub name: Option<Name>,
    /// The id of another thing it was done to: a gateway key, a node.
    pub subject: Option<Uuid>,
    /// The revision it made.
    pub revision: Option<Revision>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_actors_survive_a_round_trip() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(action));
        }
        assert_eq!(Actor::parse("operator"), Some(Actor::Operator));
        assert_eq!(Actor::parse("somebody"), None);
    }
}
