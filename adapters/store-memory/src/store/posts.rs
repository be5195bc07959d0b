//! Remembered POSTs.

use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Digest, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{IdempotencyStore, IdempotentBegin, IdempotentReply};

use super::MemoryStore;

/// A claim whose process has died.
const UNFINISHED: Duration = Duration::from_mins(1);
/// An answer.
const FINISHED: Duration = Duration::from_hours(24);

/// A POST that is being worked on or was answered.
#[derive(Debug)]
pub(super) struct Post {
    request: Digest,
    began_at: Timestamp,
    reply: Option<IdempotentReply>,
}

impl Post {
    fn counts(&self, now: Timestamp) -> bool {
        let lifetime = if self.reply.is_some() { FINISHED } else { UNFINISHED };
        now.since(self.began_at) < lifetime
    }

    fn state_for(&self, request: Digest) -> IdempotentBegin {
        match &self.reply {
            _ if self.request != request => IdempotentBegin::Reused,
            Some(reply) => IdempotentBegin::Done(reply.clone()),
            None => IdempotentBegin::InProgress,
        }
    }
}

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn begin(
        &self,
        scope: &TenantScope,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<IdempotentBegin, PortError> {
        self.with_living("store.begin", scope, |tenant| {
            tenant.posts.retain(|_, post| post.counts(now));
            if let Some(post) = tenant.posts.get(&key) {
                return post.state_for(request);
            }
            tenant.posts.insert(key, Post { request, began_at: now, reply: None });
            IdempotentBegin::Started
        })
    }

    async fn finish(&self, scope: &TenantScope, key: Digest, reply: &IdempotentReply) -> Result<(), PortError> {
        self.with(scope, |tenant| {
            if let Some(post) = tenant.posts.get_mut(&key) {
                post.reply = Some(reply.clone());
            }
        });
        Ok(())
    }

    async fn abandon(&self, scope: &TenantScope, key: Digest) -> Result<(), PortError> {
        self.with(scope, |tenant| tenant.posts.remove(&key));
        Ok(())
    }
}
