//! How a tenant comes into being, in the three modes.

use novagate_access::{GatewayKey, LinkToken, VERIFY_LIFETIME};
use novagate_control_core::RegistrationMode;
use novagate_kernel::ErrorCode;
use novagate_ports_control::{
    PageRequest,
    inbound::{Accounts, ConfigAdmin, GatewaySync, Insight, Registration},
};
use novagate_records::{Actor, AuditAction};

use crate::world::{OTHER_PASSWORD, PASSWORD, World, client, code, email, password};

#[tokio::test]
async fn an_open_control_plane_makes_a_tenant_at_once() {
    let world = World::open();
    let tenant = world.tenant("ada@example.org").await;
    assert_eq!(tenant.gateway_key.tenant(), tenant.id);
    assert!(GatewayKey::parse(tenant.gateway_key.expose()).is_ok());
    let account = world.control.tenant(&tenant.scope).await.unwrap();
    assert_eq!((account.name.as_str(), account.email.as_str()), ("Acme", "ada@example.org"));
    let head = world.control.head(&tenant.scope).await.unwrap();
    assert_eq!(head.revision.seq, 1);
    Accounts::authenticate(&world.control, tenant.gateway_key.expose()).await.unwrap_err();
    GatewaySync::authenticate(&world.control, tenant.gateway_key.expose()).await.unwrap();
    let audit = world.control.audit(&tenant.scope, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!((audit[0].action, audit[0].actor), (AuditAction::TenantCreated, Actor::Account));
}

#[tokio::test]
async fn an_address_has_one_account_whatever_its_case() {
    let world = World::open();
    world.tenant("ada@example.org").await;
    let refusal = world.register("Ada@Example.ORG").await.unwrap_err();
    assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::EmailTaken, "/email"));
}

#[tokio::test]
async fn an_open_control_plane_needs_a_password() {
    let world = World::open();
    let outcome = world.control.register("Acme".to_owned(), email("ada@example.org"), None, client(1), None).await;
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::ValidationFailed, "/password"));
}

#[tokio::test]
async fn a_closed_control_plane_registers_nobody_but_its_operator_does() {
    let world = World::with(RegistrationMode::Closed);
    assert_eq!(code(world.register("ada@example.org").await), ErrorCode::RegistrationClosed);
    let made = world.control.create_tenant_as_operator("Acme".into(), email("ada@example.org"), password(PASSWORD));
    let tenant = world.entered(made.await.unwrap()).await;
    let audit = world.control.audit(&tenant.scope, &PageRequest::first(10)).await.unwrap().items;
    assert_eq!(audit[0].actor, Actor::Operator);
}

#[tokio::test]
async fn a_display_name_is_plain_text_of_reasonable_length() {
    let world = World::open();
    let long = "ä".repeat(100);
    for (number, good) in ["A", "Ünïcode 茶 & Söhne", long.as_str()].into_iter().enumerate() {
        let address = email(&format!("good{number}@example.org"));
        world.control.register(good.to_owned(), address, Some(password(PASSWORD)), client(1), None).await.unwrap();
    }
    let longer = "ä".repeat(101);
    for bad in ["", "   ", "a\nb", "a\u{0}b", "abc\u{202e}txt", "\u{2066}x", longer.as_str()] {
        let outcome = world.control.register(bad.to_owned(), email("bad@example.org"), None, client(1), None).await;
        let refusal = outcome.unwrap_err();
        assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (ErrorCode::ValidationFailed, "/name"));
    }
}

#[tokio::test]
async fn a_verified_control_plane_answers_alike_for_known_and_unknown_addresses() {
    let world = World::with(RegistrationMode::Verified);
    let known = world.control.create_tenant_as_operator("K".into(), email("known@example.org"), password(PASSWORD));
    known.await.unwrap();
    for address in ["known@example.org", "new@example.org"] {
        assert!(matches!(world.register(address).await.unwrap(), Registration::Pending));
    }
    let mails = world.send_mails().await;
    assert_eq!(mails.to("known@example.org"), ["registered"]);
    let link = mails.to("new@example.org");
    assert!(link[0].starts_with("verify https://control.example.org/verify#token="), "{link:?}");
}

#[tokio::test]
async fn a_verification_link_works_once() {
    let mut world = World::with(RegistrationMode::Verified);
    let (worker, mails) = (world.worker.take().unwrap(), std::sync::Arc::clone(&world.mails));
    world.register("ada@example.org").await.unwrap();
    let control = world.control.clone();
    let use_link = async {
        novagate_fixtures::wait_until("a mail", std::time::Duration::from_secs(9), || async { mails.count() == 1 })
            .await;
        let made =
            control.verify(mails.token_to("ada@example.org"), password(PASSWORD), client(1), None).await.unwrap();
        let again = control.verify(mails.token_to("ada@example.org"), password(OTHER_PASSWORD), client(1), None).await;
        (made, again)
    };
    let (made, again) = tokio::select! { used = use_link => used, () = worker.run() => unreachable!() };
    assert_eq!(code(again), ErrorCode::ValidationFailed);
    world.entered(made).await;
    world.control.login(email("ada@example.org"), password(PASSWORD), client(1)).await.unwrap();
}

#[tokio::test]
async fn a_verification_link_dies_with_its_second_registration_and_with_time() {
    let mut world = World::with(RegistrationMode::Verified);
    let (worker, mails) = (world.worker.take().unwrap(), std::sync::Arc::clone(&world.mails));
    let scenario = async {
        let arrived = |count| {
            let mails = std::sync::Arc::clone(&mails);
            async move {
                let limit = std::time::Duration::from_secs(9);
                novagate_fixtures::wait_until("a mail", limit, || async { mails.count() == count }).await;
            }
        };
        world.register("ada@example.org").await.unwrap();
        arrived(1).await;
        let first = mails.token_to("ada@example.org");
        world.register("ada@example.org").await.unwrap();
        arrived(2).await;
        let second = mails.token_to("ada@example.org");
        let dead = world.control.verify(first, password(PASSWORD), client(1), None).await;
        assert_eq!(code(dead), ErrorCode::ValidationFailed);
        world.clock.advance(VERIFY_LIFETIME);
        let late = world.control.verify(second, password(PASSWORD), client(1), None).await;
        assert_eq!(code(late), ErrorCode::ValidationFailed);
        let made_up = world.control.verify(LinkToken::generate([1; 32]), password(PASSWORD), client(1), None).await;
        assert_eq!(code(made_up), ErrorCode::ValidationFailed);
    };
    tokio::select! { () = scenario => {}, () = worker.run() => unreachable!() }
}

#[tokio::test]
async fn one_client_cannot_fill_a_mailbox_with_links() {
    let world = World::with(RegistrationMode::Verified);
    for _ in 0..10 {
        world.register("victim@example.org").await.unwrap();
    }
    assert_eq!(code(world.register("victim@example.org").await), ErrorCode::TooManyAttempts);
    world.register("another@example.org").await.unwrap();
}

#[tokio::test]
async fn a_registration_by_mail_takes_the_same_work_for_free_and_taken_addresses() {
    let world = World::with(RegistrationMode::Verified);
    let made = world.control.create_tenant_as_operator("Acme".into(), email("ada@example.org"), password(PASSWORD));
    made.await.unwrap();
    for address in ["ada@example.org", "nobody@example.org"] {
        let work = world.work_of(async { world.register(address).await.unwrap() });
        assert_eq!(work.await, (0, 0), "{address}: whatever differs happens after the answer");
    }
}

#[tokio::test]
async fn a_full_mail_queue_is_said_aloud() {
    let world = World::with(RegistrationMode::Verified);
    let mut refused = None;
    for number in 0..300_u32 {
        let address = email(&format!("user{number}@example.org"));
        let from = client(u8::try_from(number / 50).unwrap());
        if let Err(refusal) = world.control.register("Acme".to_owned(), address, None, from, None).await {
            refused = Some((number, refusal.code));
            break;
        }
    }
    assert_eq!(refused, Some((256, ErrorCode::Unavailable)));
}
