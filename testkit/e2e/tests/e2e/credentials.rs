//! Passwords, keys, platform tokens, reset links.

use std::path::Path;

use jsonwebtoken::Algorithm;
use novagate_e2e::{
    Api, Control, ControlOptions, PATIENCE, PLATFORM_SECRET, PlatformClaims, RecordingProxy, Request, Response,
    Upstream, World, find_bytes, forged, now_seconds, platform_token, wait_for, wait_until,
};
use novagate_fixtures::{assert_no_canary, canary};
use serde_json::{Value, json};

fn auth(control: &Control, path: &str, body: &Value) -> Response {
    control.send(&Request::new("POST", &format!("/api/v1/auth/{path}")).json(body))
}

fn trace() -> ControlOptions<'static> {
    ControlOptions { environment: vec![("LOG_LEVEL", "trace".to_owned())], ..ControlOptions::default() }
}

fn login(control: &Control, api: &Api, password: &str) -> Response {
    auth(control, "login", &json!({ "email": api.account.email, "password": password }))
}

#[test]
fn promise_c1_a_password_is_kept_as_bcrypt_of_cost_10_and_its_plaintext_is_nowhere() {
    let control = Control::with(&trace());
    let password = canary("password");
    let api = Api::register_as(&control, "marked@example.org", &password);
    // A gateway of the same account, with every byte of its link recorded.
    let proxy = RecordingProxy::start(control.address());
    let (url, trace) = (format!("ws://{}", proxy.address()), vec![("LOG_LEVEL", "trace".to_owned())]);
    let mut world = World::dialling(&url, control, api, Upstream::named("users"), trace);
    let (control, api) = (&world.control, &world.api);
    login(control, api, &password).expect(200);
    login(control, api, &format!("{password}-wrong")).expect(401);
    let next = canary("second-password");
    let change = json!({ "current": password, "new": next });
    let token = login(control, api, &password).expect(200).str_at("/token");
    control.send(&Request::new("POST", "/api/v1/auth/change-password").bearer(&token).json(&change)).expect(204);
    login(control, api, &password).expect(401);
    let token = login(control, api, &next).expect(200).str_at("/token");

    let long = "x".repeat(60) + &canary("long-password");
    assert!(long.len() > 72);
    let body = json!({ "name": "n", "email": "long@example.org", "password": long });
    let refused = auth(control, "register", &body).expect(422);
    assert_eq!(refused.at("/errors/0/pointer"), "/password");
    assert_no_canary("the refusal", &refused.text());
    let mistyped = control.send(
        &Request::new("POST", "/api/v1/auth/register")
            .body("application/json", format!("{{\"password\":\"{password}\" oops")),
    );
    assert_no_canary("the refusal of broken JSON", &mistyped.expect(400).text());
    wait_for("the mail about the change", PATIENCE, || mails(control).pop());
    // One more edit goes over the link after all that.
    let consumer = Request::new("POST", &api.path("/consumers")).bearer(&token).json(&json!({ "name": "last" }));
    control.send(&consumer).expect(201);
    let sync = || -> Vec<u8> {
        proxy.recordings().iter().flat_map(|one| [one.node_text(), one.from_hub.clone()].concat()).collect()
    };
    wait_until("the edit has reached the gateway", PATIENCE, || find_bytes(&sync(), b"\"last\"").is_some());

    world.gateway.terminate();
    world.control.terminate();
    assert!(!world.control.places_with("$2b$10$").is_empty(), "the hash is stored");
    assert_eq!(world.control.places_with("CANARY7F"), Vec::<String>::new());
    assert_eq!(world.gateway.folder().files_with("CANARY7F").len(), 0, "nor does the gateway keep it");
    assert_no_canary("the control plane's output at level trace", &world.control.output());
    assert_no_canary("the gateway's output at level trace", &world.gateway.output());
    let sync = String::from_utf8_lossy(&sync()).into_owned();
    assert_no_canary("the frames", &sync);
    assert!(!sync.contains("$2b$10$"), "not even the hash is in the frames");
}

#[test]
fn promise_c2_a_gateway_key_has_the_documented_form_and_is_shown_once() {
    let mut world =
        World::with(&trace(), novagate_e2e::Upstream::named("users"), vec![("LOG_LEVEL", "trace".to_owned())]);
    let second = world.api.send(world.api.request("POST", "/gateway-keys")).expect(201);
    for key in [world.api.account.gateway_key.clone(), second.str_at("/key")] {
        let random = key.strip_prefix(&format!("gw_{}_", world.api.account.tenant)).unwrap().to_owned();
        assert!(random.len() == 32 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
        for below in
            ["/gateway-keys".to_owned(), format!("/gateway-keys/{}", second.str_at("/id")), "/audit".to_owned()]
        {
            assert!(!world.api.get(&below).expect(200).text().contains(&random), "{below} shows a key");
        }
        assert!(!world.control.output().contains(&random) && !world.gateway.output().contains(&random));
    }
    world.control.terminate();
    world.gateway.terminate();
    for key in [world.api.account.gateway_key.clone(), second.str_at("/key")] {
        let random = key.rsplit('_').next().unwrap();
        assert!(world.control.places_with(random).is_empty(), "the control plane keeps a hash");
        assert!(world.gateway.folder().files_with(random).is_empty(), "the gateway keeps nothing of it");
    }
}

/// A platform token with one flaw each.
fn forgeries(claims: &Value, generation: u64) -> Vec<(&'static str, String)> {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let secret = PLATFORM_SECRET.as_bytes();
    let with_claim = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        forged(&header, &changed, secret, Algorithm::HS256)
    };
    let without_claim = |name: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name);
        forged(&header, &changed, secret, Algorithm::HS256)
    };
    let under = |header: Value| forged(&header, claims, secret, Algorithm::HS256);
    let real = forged(&header, claims, secret, Algorithm::HS256);
    let none = under(json!({ "alg": "none" }));
    let own_key = json!({ "kty": "oct", "k": "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE" });
    let now = now_seconds();
    vec![
        ("no signature", unsigned(&real)),
        ("no signature part", unsigned(&real).trim_end_matches('.').to_owned()),
        ("a cut signature", real[..real.len() - 2].to_owned()),
        ("alg none, unsigned", unsigned(&none)),
        ("alg none, signed", none),
        ("alg nOnE", unsigned(&under(json!({ "alg": "nOnE" })))),
        ("RS256 over a shared secret", under(json!({ "alg": "RS256" }))),
        ("another HMAC", forged(&json!({ "alg": "HS512" }), claims, secret, Algorithm::HS512)),
        ("another secret", forged(&header, claims, b"another-secret-of-thirty-two-bytes!!", Algorithm::HS256)),
        ("an empty secret", forged(&header, claims, b"", Algorithm::HS256)),
        (
            "a kid that is a path",
            forged(&json!({ "alg": "HS256", "kid": "../../dev/null" }), claims, b"", Algorithm::HS256),
        ),
        ("a kid beside the right secret", under(json!({ "alg": "HS256", "kid": "1" }))),
        ("an embedded jwk", forged(&json!({ "alg": "HS256", "jwk": own_key }), claims, &[b'a'; 32], Algorithm::HS256)),
        ("a jku", under(json!({ "alg": "HS256", "jku": "http://127.0.0.1:1/keys" }))),
        ("a critical extension", under(json!({ "alg": "HS256", "crit": ["b64"], "b64": false }))),
        ("no exp", without_claim("exp")),
        ("no iat", without_claim("iat")),
        ("no issuer", without_claim("iss")),
        ("no generation", without_claim("gen")),
        ("another issuer", with_claim("iss", json!("somebody"))),
        ("another generation", with_claim("gen", json!(generation + 1))),
        ("issued in the future", with_claim("iat", json!(now + 3600))),
        ("a life of eight days", with_claim("exp", json!(now + 8 * 86_400))),
        ("an exp that is text", with_claim("exp", json!("9999999999"))),
        ("an exp beyond every number", with_claim("exp", json!(1e300))),
        ("a subject that is no tenant", with_claim("sub", json!("' OR 1=1 --"))),
        ("a tenant that is not there", with_claim("sub", json!("00000000-0000-4000-8000-00000000dead"))),
    ]
}

/// The token with an empty signature.
fn unsigned(token: &str) -> String {
    format!("{}.", token.rsplit_once('.').unwrap().0)
}

#[test]
fn promise_c3_forged_platform_tokens_are_refused() {
    let control = Control::start();
    let api = Api::register(&control);
    let with = |token: &str| control.send(&Request::get(&api.path("")).bearer(token));
    let claims = |generation: u64| PlatformClaims::of(&api.account.tenant, generation);
    let works = |generation: &u64| with(&platform_token(PLATFORM_SECRET, &claims(*generation))).status == 200;
    let generation = (0..4).find(works).expect("a token with the right secret and claims works");
    for (what, token) in forgeries(&json!(claims(generation)), generation) {
        assert_eq!(with(&token).status, 401, "{what} is accepted");
    }
    let good = platform_token(PLATFORM_SECRET, &claims(generation));
    with(&good).expect(200);
    let twice = Request::get(&api.path("")).bearer(&good).bearer(&good);
    assert_eq!(control.send(&twice).status, 401, "two Authorization headers");
}

#[test]
fn promise_c3_a_platform_token_lives_seven_days_and_logout_and_a_new_password_end_it() {
    let control = Control::start();
    let api = Api::register(&control);
    let with = |token: &str| control.send(&Request::get(&api.path("")).bearer(token));
    with(&api.account.token).expect(200);
    control.send(&Request::new("POST", "/api/v1/auth/logout").bearer(&api.account.token)).expect(204);
    with(&api.account.token).expect(401);
    let session = login(&control, &api, &api.account.password).expect(200);
    let expires = novagate_documents::time::parse_timestamp(&session.str_at("/expiresAt")).unwrap().as_seconds();
    let left = expires - i64::try_from(now_seconds()).unwrap();
    assert!((left - 7 * 86_400).abs() < 60, "seven days: {}", session.text());
    let token = session.str_at("/token");
    let change = json!({ "current": api.account.password, "new": "a password of another kind" });
    control.send(&Request::new("POST", "/api/v1/auth/change-password").bearer(&token).json(&change)).expect(204);
    with(&token).expect(401);
}

/// The mails in the outbox, oldest first.
fn mails(control: &Control) -> Vec<String> {
    let mut files: Vec<_> = control.folder().files().into_iter().filter(|path| is_mail(path)).collect();
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn is_mail(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "eml")
}

fn reset_tokens(control: &Control) -> Vec<String> {
    let token = |mail: &String| {
        mail.split_once("token=").map(|(_, rest)| rest.chars().take_while(char::is_ascii_hexdigit).collect())
    };
    mails(control).iter().filter_map(token).collect()
}

fn ask_reset(control: &Control, email: &str, count: usize) -> String {
    auth(control, "forgot-password", &json!({ "email": email })).expect(202);
    wait_for("the reset mail is written", PATIENCE, || reset_tokens(control).get(count - 1).cloned())
}

#[test]
fn promise_c5_a_reset_link_works_once_for_its_own_account_and_is_stored_as_a_hash() {
    let mut control = Control::with(&trace());
    let (api, other) = (Api::register(&control), Api::register(&control));
    let known = auth(&control, "forgot-password", &json!({ "email": api.account.email })).expect(202);
    let unknown = auth(&control, "forgot-password", &json!({ "email": "nobody@example.org" })).expect(202);
    assert_eq!(known.json(), unknown.json(), "the answer does not tell who has an account");
    let first = wait_for("the reset mail is written", PATIENCE, || reset_tokens(&control).pop());
    assert!(first.len() == 64, "32 bytes in hexadecimal: {first}");
    let second = ask_reset(&control, &api.account.email, 2);
    let use_token = |token: &str, password: &str| {
        auth(&control, "reset-password", &json!({ "token": token, "password": password }))
    };
    let fresh = "a fresh password 1";
    assert_eq!(
        use_token(&first, fresh).expect(422).at("/errors/0/pointer"),
        "/token",
        "a newer link replaces an older one"
    );
    use_token(&"ab".repeat(32), fresh).expect(422);
    use_token(&second.to_uppercase(), "short").expect(422);
    use_token(&second, fresh).expect(204);
    use_token(&second, "a fresh password 2").expect(422);
    login(&control, &api, fresh).expect(200);
    login(&control, &api, &api.account.password).expect(401);
    login(&control, &other, &other.account.password).expect(200);
    login(&control, &other, fresh).expect(401);
    assert_eq!(api.get("").status, 401, "a new password ends older tokens");

    let unused = ask_reset(&control, &other.account.email, 3);
    control.terminate();
    for token in [&first, &second, &unused] {
        let kept = control.places_with(token);
        let stray: Vec<_> = kept.iter().filter(|place| !is_mail(Path::new(place))).collect();
        assert!(stray.is_empty(), "{stray:?}");
        assert!(!control.output().contains(token.as_str()));
    }
}

#[test]
fn guessing_a_password_is_throttled_and_does_not_tell_who_has_an_account() {
    let control = Control::start();
    let api = Api::register(&control);
    let unknown =
        |_: usize| auth(&control, "login", &json!({ "email": "nobody@example.org", "password": "wrong password" }));
    let known = |_: usize| login(&control, &api, "wrong password");
    let statuses = |ask: &dyn Fn(usize) -> Response| (0..12).map(|turn| ask(turn).status).collect::<Vec<u16>>();
    let (known_statuses, unknown_statuses) = (statuses(&known), statuses(&unknown));
    assert_eq!(known_statuses, unknown_statuses);
    assert_eq!(known_statuses.first(), Some(&401));
    assert_eq!(known_statuses.last(), Some(&429));
    let throttled = login(&control, &api, &api.account.password).expect(429);
    assert_eq!(throttled.code(), "TOO_MANY_ATTEMPTS");
    assert!(throttled.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
}
