//! Tokens that clients show a gateway, signed with keys of every kind that it takes.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use novagate_e2e::{EDGE_SECRET, EdgeClaims, FileWorld, Folder, Process, Request, edge_token, now_seconds};
use novagate_fixtures::{assert_no_canary, canary};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};

/// A pair of keys and what signs with it.
struct Pair {
    public: String,
    private: String,
    signs: Vec<(Algorithm, EncodingKey)>,
}

impl Pair {
    fn rsa() -> Self {
        Self::of(&PKCS_RSA_SHA256, &[Algorithm::RS256, Algorithm::PS256], EncodingKey::from_rsa_pem)
    }

    fn ec() -> Self {
        Self::of(&PKCS_ECDSA_P256_SHA256, &[Algorithm::ES256], EncodingKey::from_ec_pem)
    }

    fn ed() -> Self {
        Self::of(&PKCS_ED25519, &[Algorithm::EdDSA], EncodingKey::from_ed_pem)
    }

    fn of(
        kind: &'static rcgen::SignatureAlgorithm,
        algorithms: &[Algorithm],
        read: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        let pair = KeyPair::generate_for(kind).unwrap();
        let key = read(pair.serialize_pem().as_bytes()).unwrap();
        let signs = algorithms.iter().map(|&algorithm| (algorithm, key.clone())).collect();
        Self { public: pair.public_key_pem(), private: pair.serialize_pem(), signs }
    }
}

fn token(algorithm: Algorithm, key: &EncodingKey, kid: Option<&str>, exp: u64) -> String {
    let header = Header { kid: kid.map(ToOwned::to_owned), ..Header::new(algorithm) };
    encode(&header, &EdgeClaims { sub: "ada".to_owned(), exp }, key).unwrap()
}

/// A gateway whose key is in a file, with or without a secret beside it.
fn world(folder: &Folder, pem: &str, secret: &str) -> FileWorld {
    let file = folder.path().join("main.pem");
    std::fs::write(&file, pem).unwrap();
    let file = file.display().to_string();
    FileWorld::start(vec![("JWT_PUBLIC_KEY_FILE", file), ("JWT_SECRET", secret.to_owned())])
}

fn ask(world: &FileWorld, token: &str) -> (u16, String) {
    let answer = world.gateway.send(&Request::get("/closed/x").bearer(token));
    let said = if answer.status == 200 { answer.text() } else { answer.code() };
    (answer.status, said)
}

#[test]
fn a_gateway_with_a_public_key_takes_what_its_pair_has_signed_and_nothing_else() {
    let refused = (401, "TOKEN_INVALID".to_owned());
    for (pair, stranger) in [(Pair::rsa(), Pair::rsa()), (Pair::ec(), Pair::ec()), (Pair::ed(), Pair::ed())] {
        let folder = Folder::new("keys");
        let world = world(&folder, &pair.public, "");
        let soon = now_seconds() + 600;
        for ((algorithm, key), (_, strange)) in pair.signs.iter().zip(&stranger.signs) {
            // A `kid` chooses among the keys of the gateway; one that names none of them chooses nothing.
            for kid in [None, Some("main"), Some("other")] {
                assert_eq!(ask(&world, &token(*algorithm, key, kid, soon)).0, 200, "{algorithm:?} {kid:?}");
            }
            for kid in [None, Some("main"), Some("other")] {
                let strange = token(*algorithm, strange, kid, soon);
                assert_eq!(ask(&world, &strange), refused, "{algorithm:?} {kid:?}: a stranger's");
            }
            let past = token(*algorithm, key, None, now_seconds() - 5);
            assert_eq!(ask(&world, &past), (401, "TOKEN_EXPIRED".to_owned()), "{algorithm:?}");
            let seen = world.upstream.last_to("/closed/x").unwrap();
            assert_eq!(seen.header("x-token-subject"), Some("ada"));
        }
        assert_eq!(ask(&world, &edge_token(EDGE_SECRET, "ada")), refused, "there is no secret");
        // The public key is public: it must not pass for a secret.
        let confused = EncodingKey::from_secret(pair.public.as_bytes());
        assert_eq!(ask(&world, &token(Algorithm::HS256, &confused, None, soon)), refused);
    }
}

#[test]
fn a_secret_beside_a_public_key_is_taken_too() {
    let (pair, folder) = (Pair::ec(), Folder::new("keys"));
    let world = world(&folder, &pair.public, EDGE_SECRET);
    let (algorithm, key) = &pair.signs[0];
    assert_eq!(ask(&world, &token(*algorithm, key, None, now_seconds() + 600)).0, 200);
    assert_eq!(ask(&world, &edge_token(EDGE_SECRET, "ada")).0, 200);
}

#[test]
fn a_key_file_that_cannot_be_used_ends_the_start_unshown() {
    let folder = Folder::new("keys");
    let file = folder.path().join("main.pem");
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "{}").unwrap();
    let environment = [
        ("CONFIG_FILE", config.display().to_string()),
        ("JWT_PUBLIC_KEY_FILE", file.display().to_string()),
        ("DATA_DIR", folder.path().join("data").display().to_string()),
        ("PORT", novagate_e2e::free_port().to_string()),
        ("ADMIN_ADDR", format!("127.0.0.1:{}", novagate_e2e::free_port())),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for content in [None, Some(canary("no key")), Some(Pair::rsa().private)] {
        drop(std::fs::remove_file(&file));
        if let Some(content) = &content {
            std::fs::write(&file, content).unwrap();
        }
        let exit = Process::run("novagate-gateway", &[], &environment);
        assert_eq!(exit.code, Some(64), "{exit:?}");
        assert!(exit.stderr.contains("JWT_PUBLIC_KEY_FILE"), "{}", exit.stderr);
        assert_no_canary("standard error", &exit.stderr);
        assert!(!exit.stderr.contains("PRIVATE KEY--"), "{}", exit.stderr);
    }
}
