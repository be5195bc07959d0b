//! Repeated POSTs where there is no tenant yet.
//!
//! A tenant's row remembers the POST that made it, in the same transaction. What ends without a tenant (a mail on its way, a
//! link used up) is remembered where attempts are counted: in Redis, or in the memory of one process. Always: an address
//! that has an account is not told from one that has none. See ADR 0028.

use std::time::Duration;

use novagate_kernel::ErrorCode;
use novagate_ports_control::{
    inbound::{PostBegin, PostEnd, Refusal, RepeatablePost},
    outbound::{CLAIM_LIFETIME, PostClaim, ThrottleRule},
};

use crate::Control;

/// One at a time; a process that died in the middle is forgotten.
const RUNNING: ThrottleRule = ThrottleRule { max: 1, window: Duration::from_mins(1) };
const DONE: ThrottleRule = ThrottleRule { max: 1, window: CLAIM_LIFETIME };

/// Where a claim is remembered.
struct Places {
    running: String,
    key: String,
    request: String,
}

impl Places {
    fn of(claim: PostClaim) -> Self {
        Self {
            running: format!("post-running-{}", claim.key),
            key: format!("post-{}", claim.key),
            request: format!("post-request-{}", claim.request),
        }
    }
}

impl Control {
    pub(super) fn claim(&self, post: &RepeatablePost) -> PostClaim {
        let (path, key) = (post.path.as_bytes(), post.key.as_bytes());
        // Neither has a NUL in it, so that the parts cannot run into each other.
        let name = [path, &[0], key].concat();
        let whole = [name.as_slice(), &[0], &post.body].concat();
        let hash = |scope, subject: &[u8]| self.deps.fingerprints.digest_of(scope, subject);
        PostClaim { key: hash("post", &name), request: hash("post-request", &whole) }
    }

    pub(super) async fn start_post(&self, claim: PostClaim) -> Result<PostBegin, Refusal> {
        if let Some(known) = self.known_post(claim).await? {
            return Ok(known);
        }
        let (places, now) = (Places::of(claim), self.deps.clock.now());
        if self.deps.throttle.attempt(&places.running, RUNNING, now).await?.is_some() {
            let detail = "a request with this Idempotency-Key is running";
            return Err(Refusal::new(ErrorCode::IdempotencyInProgress, detail));
        }
        // Once more: another one may have ended in between.
        let known = self.known_post(claim).await;
        if !matches!(known, Ok(None)) {
            self.deps.throttle.clear(&places.running).await?;
        }
        Ok(known?.unwrap_or(PostBegin::Started(claim)))
    }

    async fn known_post(&self, claim: PostClaim) -> Result<Option<PostBegin>, Refusal> {
        let now = self.deps.clock.now();
        if let Some(made) = self.deps.tenants.claimed(claim.key, now).await? {
            let same = made.request == claim.request;
            return if same { Ok(Some(PostBegin::Created(made.tenant))) } else { Err(reused()) };
        }
        let places = Places::of(claim);
        if self.deps.throttle.count(&places.request, DONE, now).await? > 0 {
            return Ok(Some(PostBegin::Done));
        }
        if self.deps.throttle.count(&places.key, DONE, now).await? > 0 {
            return Err(reused());
        }
        Ok(None)
    }

    /// What is done is done: a memory that fails costs the repeat, not the answer.
    pub(super) async fn finish_post(&self, claim: PostClaim, end: PostEnd) {
        let (places, now) = (Places::of(claim), self.deps.clock.now());
        let outcome = async {
            if end == PostEnd::Done {
                self.deps.throttle.attempt(&places.request, DONE, now).await?;
                self.deps.throttle.attempt(&places.key, DONE, now).await?;
            }
            self.deps.throttle.clear(&places.running).await
        };
        if let Err(error) = outcome.await {
            tracing::warn!(error = %error, cause = %error.source, "the end of a POST was not remembered for its Idempotency-Key");
        }
    }
}

fn reused() -> Refusal {
    Refusal::new(ErrorCode::IdempotencyKeyReused, "this Idempotency-Key came with another body before")
}
