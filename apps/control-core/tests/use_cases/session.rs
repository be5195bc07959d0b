//! Login: throttling, and the end of tokens.

use std::net::IpAddr;
use std::time::Duration;

use novagate_kernel::ErrorCode;
use novagate_ports_control::{
    PageRequest,
    inbound::{Accounts, Client, Insight, Refusal},
    outbound::TenantState,
};
use novagate_records::AuditAction;

use crate::world::{OTHER_PASSWORD, PASSWORD, World, client, code, email, password};

const ADA: &str = "ada@example.org";

async fn wrong(world: &World, address: &str, from: Client) -> Refusal {
    world.control.login(email(address), password(OTHER_PASSWORD), from).await.unwrap_err()
}

#[tokio::test]
async fn the_right_password_opens_a_session_of_seven_days() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    world.clock.advance(Duration::from_secs(1));
    let session = world.control.login(email("ADA@example.org"), password(PASSWORD), client(1)).await.unwrap();
    assert_eq!(session.tenant, tenant.id);
    world.clock.set(session.expires_at.minus(Duration::from_secs(1)));
    world.control.authenticate(&session.token).await.unwrap();
    world.clock.set(session.expires_at);
    assert_eq!(code(world.control.authenticate(&session.token).await), ErrorCode::TokenExpired);
    let audit = world.control.audit(&tenant.scope, &PageRequest::first(9)).await.unwrap().items;
    assert_eq!(audit[0].action, AuditAction::LoggedIn);
}

#[tokio::test]
async fn known_and_unknown_accounts_are_refused_in_the_same_words_at_every_attempt() {
    let world = World::open();
    world.tenant(ADA).await;
    for attempt in 0..15 {
        let known = wrong(&world, ADA, client(2)).await;
        let known_pauses = world.pauses.all().len();
        let unknown = wrong(&world, "nobody@example.org", client(3)).await;
        assert_eq!(known.code, unknown.code, "attempt {attempt}");
        assert_eq!(known.detail, unknown.detail);
        assert_eq!(known.retry_after, unknown.retry_after);
        let pauses = world.pauses.all();
        assert_eq!(pauses.len() - known_pauses, usize::from((5..10).contains(&attempt)), "both are delayed alike");
    }
}

#[tokio::test]
async fn a_login_takes_the_same_work_for_known_and_unknown_accounts() {
    let world = World::open();
    world.tenant(ADA).await;
    for address in [ADA, "nobody@example.org"] {
        let work = world.work_of(wrong(&world, address, client(2))).await;
        assert_eq!(work, (1, 1), "{address}: one look, one comparison");
    }
}

#[tokio::test]
async fn the_eleventh_attempt_on_an_account_from_one_address_waits_a_quarter_of_an_hour() {
    let world = World::open();
    world.tenant(ADA).await;
    for _ in 0..10 {
        assert_eq!(wrong(&world, ADA, client(2)).await.code, ErrorCode::InvalidCredentials);
    }
    let refusal = world.control.login(email(ADA), password(PASSWORD), client(2)).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TooManyAttempts, "not even the right password counts");
    let wait = refusal.retry_after.unwrap();
    assert!(wait <= Duration::from_mins(15) && wait > Duration::from_mins(14));
    world.control.login(email(ADA), password(PASSWORD), client(3)).await.expect("its owner is elsewhere");
    world.clock.advance(wait);
    world.control.login(email(ADA), password(PASSWORD), client(2)).await.expect("the wait is enough");
}

#[tokio::test]
async fn one_address_has_a_hundred_attempts_over_all_accounts() {
    let world = World::open();
    for number in 0..100 {
        let refusal = wrong(&world, &format!("user{number}@example.org"), client(2)).await;
        assert_eq!(refusal.code, ErrorCode::InvalidCredentials);
    }
    assert_eq!(wrong(&world, "fresh@example.org", client(2)).await.code, ErrorCode::TooManyAttempts);
    assert_eq!(wrong(&world, "fresh@example.org", client(3)).await.code, ErrorCode::InvalidCredentials);
}

#[tokio::test]
async fn the_delay_of_an_account_grows_and_ends_at_two_seconds() {
    let world = World::open();
    world.tenant(ADA).await;
    for attempt in 0..30_u8 {
        wrong(&world, ADA, client(attempt)).await;
    }
    let pauses = world.pauses.all();
    let wanted: Vec<Duration> = (1..=25).map(|step| Duration::from_millis(100 * step.min(20))).collect();
    assert_eq!(pauses, wanted);
    world.clock.advance(Duration::from_mins(15));
    wrong(&world, ADA, client(1)).await;
    assert_eq!(world.pauses.all().len(), wanted.len(), "a quarter of an hour later it has gone");
}

#[tokio::test]
async fn a_whole_ipv6_network_is_one_client() {
    let world = World::open();
    world.tenant(ADA).await;
    let from = |text: &str| Client { address: text.parse::<IpAddr>().unwrap() };
    for number in 0..10 {
        let address = format!("2001:db8:1:2:{number:x}::1");
        assert_eq!(wrong(&world, ADA, from(&address)).await.code, ErrorCode::InvalidCredentials);
    }
    assert_eq!(wrong(&world, ADA, from("2001:db8:1:2:ffff::9")).await.code, ErrorCode::TooManyAttempts);
    assert_eq!(wrong(&world, ADA, from("2001:db8:1:3::1")).await.code, ErrorCode::InvalidCredentials);
    for _ in 0..10 {
        wrong(&world, ADA, from("192.0.2.77")).await;
    }
    assert_eq!(wrong(&world, ADA, from("::ffff:192.0.2.77")).await.code, ErrorCode::TooManyAttempts);
}

#[tokio::test]
async fn a_login_forgives_earlier_mistakes() {
    let world = World::open();
    world.tenant(ADA).await;
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(wrong(&world, ADA, client(2)).await.code, ErrorCode::InvalidCredentials);
        }
        world.control.login(email(ADA), password(PASSWORD), client(2)).await.unwrap();
    }
}

#[tokio::test]
async fn logging_out_ends_every_token_of_the_account_and_nobody_elses() {
    let world = World::open();
    let (ada, bob) = (world.tenant(ADA).await, world.tenant("bob@example.org").await);
    let other = world.control.login(email(ADA), password(PASSWORD), client(1)).await.unwrap();
    world.control.logout(&ada.scope).await.unwrap();
    for token in [&ada.token, &other.token] {
        assert_eq!(code(world.control.authenticate(token).await), ErrorCode::TokenInvalid);
    }
    world.control.authenticate(&bob.token).await.unwrap();
    let fresh = world.control.login(email(ADA), password(PASSWORD), client(1)).await.unwrap();
    world.control.authenticate(&fresh.token).await.unwrap();
}

#[tokio::test]
async fn a_suspension_by_another_process_counts_from_the_next_call_on() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let operator = novagate_access::TenantScope::for_maintenance(tenant.id);
    let set = |state| {
        novagate_ports_control::outbound::TenantStore::set_state(
            &world.store,
            &operator,
            state,
            novagate_fixtures::START,
        )
    };
    set(TenantState::Suspended).await.unwrap();
    assert_eq!(code(world.control.authenticate(&tenant.token).await), ErrorCode::TenantSuspended);
    let login = world.control.login(email(ADA), password(PASSWORD), client(1)).await;
    assert_eq!(code(login), ErrorCode::TenantSuspended);
    assert_eq!(wrong(&world, ADA, client(1)).await.code, ErrorCode::InvalidCredentials, "only its owner is told");
    set(TenantState::Active).await.unwrap();
    world.control.authenticate(&tenant.token).await.unwrap();
}

#[tokio::test]
async fn an_erased_tenants_token_is_no_token() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let erased = world.control.erase(&tenant.scope).await.unwrap();
    assert_eq!(erased.gateway_keys, 1);
    assert_eq!(code(world.control.authenticate(&tenant.token).await), ErrorCode::TokenInvalid);
    world.tenant(ADA).await;
}

#[tokio::test]
async fn made_up_tokens_are_refused() {
    let world = World::open();
    for token in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(code(world.control.authenticate(token).await), ErrorCode::TokenInvalid, "{token}");
    }
}
