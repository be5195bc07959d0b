//! Forgotten and changed passwords.

use std::sync::Arc;
use std::time::Duration;

use novagate_access::{LinkToken, RESET_LIFETIME};
use novagate_fixtures::wait_until;
use novagate_kernel::ErrorCode;
use novagate_ports_control::inbound::Accounts;

use crate::world::{Mails, OTHER_PASSWORD, PASSWORD, World, client, code, email, password};

const ADA: &str = "ada@example.org";

/// Runs a scenario while mails are sent.
async fn while_mailing(world: &mut World, scenario: impl AsyncFnOnce(&World, &Arc<Mails>)) {
    let worker = world.worker.take().unwrap();
    let mails = Arc::clone(&world.mails);
    tokio::select! { () = scenario(world, &mails) => {}, () = worker.run() => unreachable!("the control plane lives") }
}

async fn arrived(mails: &Mails, count: usize) {
    wait_until("a mail", Duration::from_secs(9), || async { mails.count() >= count }).await;
}

async fn reset_token(world: &World, mails: &Mails, address: &str) -> LinkToken {
    let before = mails.count();
    world.control.forgot_password(email(address), client(1)).await.unwrap();
    arrived(mails, before + 1).await;
    mails.token_to(address)
}

#[tokio::test]
async fn a_reset_link_sets_the_password_once_and_ends_all_tokens() {
    let mut world = World::open();
    let tenant = world.tenant(ADA).await;
    while_mailing(&mut world, async |world, mails| {
        let token = reset_token(world, mails, ADA).await;
        let again = LinkToken::parse(token.expose()).unwrap();
        world.control.reset_password(token, password(OTHER_PASSWORD), client(1)).await.unwrap();
        assert_eq!(code(world.control.authenticate(&tenant.token).await), ErrorCode::TokenInvalid);
        let old = world.control.login(email(ADA), password(PASSWORD), client(1)).await;
        assert_eq!(code(old), ErrorCode::InvalidCredentials);
        world.control.login(email(ADA), password(OTHER_PASSWORD), client(1)).await.unwrap();
        let twice = world.control.reset_password(again, password(PASSWORD), client(1)).await.unwrap_err();
        assert_eq!((twice.code, twice.fields[0].pointer.as_str()), (ErrorCode::ValidationFailed, "/token"));
        arrived(mails, 2).await;
        assert_eq!(mails.to(ADA)[1], "changed");
    })
    .await;
}

#[tokio::test]
async fn promise_c5_a_reset_link_works_for_an_hour_and_not_a_second_longer() {
    let mut world = World::open();
    world.tenant(ADA).await;
    while_mailing(&mut world, async |world, mails| {
        let token = reset_token(world, mails, ADA).await;
        world.clock.advance(RESET_LIFETIME + Duration::from_secs(1));
        let late = world.control.reset_password(token, password(OTHER_PASSWORD), client(1)).await;
        assert_eq!(code(late), ErrorCode::ValidationFailed);
        let token = reset_token(world, mails, ADA).await;
        world.clock.advance(RESET_LIFETIME.checked_sub(Duration::from_secs(1)).unwrap());
        world.control.reset_password(token, password(OTHER_PASSWORD), client(1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_newer_link_replaces_the_older_and_each_opens_its_own_account_only() {
    let mut world = World::open();
    world.tenant(ADA).await;
    world.tenant("bob@example.org").await;
    while_mailing(&mut world, async |world, mails| {
        let older = reset_token(world, mails, ADA).await;
        let newer = reset_token(world, mails, ADA).await;
        let dead = world.control.reset_password(older, password(OTHER_PASSWORD), client(1)).await;
        assert_eq!(code(dead), ErrorCode::ValidationFailed);
        world.control.reset_password(newer, password(OTHER_PASSWORD), client(1)).await.unwrap();
        let bob = || email("bob@example.org");
        let others = world.control.login(bob(), password(OTHER_PASSWORD), client(1)).await;
        assert_eq!(code(others), ErrorCode::InvalidCredentials);
        world.control.login(bob(), password(PASSWORD), client(1)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn asking_for_an_unknown_address_is_answered_alike_and_mails_nobody() {
    let world = World::open();
    world.control.forgot_password(email("nobody@example.org"), client(1)).await.unwrap();
    assert_eq!(world.send_mails().await.count(), 0);
}

#[tokio::test]
async fn promise_c5_asking_takes_the_same_for_known_and_unknown_addresses() {
    let world = World::open();
    world.tenant(ADA).await;
    for address in [ADA, "nobody@example.org"] {
        let asked = world.work_of(async { world.control.forgot_password(email(address), client(1)).await.unwrap() });
        assert_eq!(asked.await, (0, 0), "{address}: whatever differs happens after the answer");
    }
    assert!(world.pauses.all().is_empty());
    assert_eq!(world.send_mails().await.count(), 1, "both have waited in the queue");
}

#[tokio::test]
async fn one_client_cannot_fill_a_mailbox_with_reset_links() {
    let world = World::open();
    for _ in 0..10 {
        world.control.forgot_password(email(ADA), client(1)).await.unwrap();
    }
    let refusal = world.control.forgot_password(email(ADA), client(1)).await;
    assert_eq!(code(refusal), ErrorCode::TooManyAttempts);
}

#[tokio::test]
async fn a_change_of_password_needs_the_present_one_and_ends_all_tokens() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let change = |current: &'static str| {
        world.control.change_password(&tenant.scope, password(current), password(OTHER_PASSWORD), client(1))
    };
    let refusal = change(OTHER_PASSWORD).await.unwrap_err();
    assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::InvalidCredentials, "/current"));
    world.control.authenticate(&tenant.token).await.expect("a mistake ends nothing");
    change(PASSWORD).await.unwrap();
    assert_eq!(code(world.control.authenticate(&tenant.token).await), ErrorCode::TokenInvalid);
    world.control.login(email(ADA), password(OTHER_PASSWORD), client(1)).await.unwrap();
    assert_eq!(world.send_mails().await.to(ADA), ["changed"]);
}

#[tokio::test]
async fn guessing_the_present_password_is_throttled_too() {
    let world = World::open();
    let tenant = world.tenant(ADA).await;
    let guess = || {
        world.control.change_password(&tenant.scope, password("wrong one here"), password(OTHER_PASSWORD), client(1))
    };
    for _ in 0..10 {
        assert_eq!(code(guess().await), ErrorCode::InvalidCredentials);
    }
    assert_eq!(code(guess().await), ErrorCode::TooManyAttempts);
}
