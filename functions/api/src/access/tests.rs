//! A provider of our own making, so that it can lie, and what the gate makes of what it says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use lambda_http::tower::ServiceExt;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier, url::Url};
use serde_json::{Value, json};
use shared::{
    contribution::ContributionStore,
    lake::Lake,
    pseudonym::{PseudonymKey, pseudonym},
};

use super::{Access, Caller, OpenId, provider::Provider, settings::tests::settings};
use crate::{Api, router, sample::register, settings::Settings};

const CLIENT: &str = "wastewalk";
const AUDIENCE: &str = "https://wastewalk.example.com/api";
const HOME: &str = "http://127.0.0.1:8080";

/// What the provider does.
#[derive(Default)]
struct Deeds {
    /// The keys that it publishes.
    keys: Vec<Value>,
    keys_read: usize,
    /// The token that it gives for the next code, and the challenge that the code was asked for with.
    token: Option<String>,
    challenge: Option<String>,
    forms: Vec<BTreeMap<String, String>>,
}

#[derive(Clone)]
struct Liar {
    issuer: String,
    deeds: Arc<Mutex<Deeds>>,
}

/// A key with its name and its public half.
struct Signer {
    key: EncodingKey,
    name: &'static str,
    public: Value,
}

impl Signer {
    fn new(name: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap()).unwrap();
        public["kid"] = name.into();
        Self { key, name, public }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.name.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.key).unwrap()
    }
}

impl Liar {
    async fn start(keys: &[&Signer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let keys = keys.iter().map(|signer| signer.public.clone()).collect();
        let deeds = Arc::new(Mutex::new(Deeds { keys, ..Deeds::default() }));
        let (of_keys, of_tokens, itself) = (deeds.clone(), deeds.clone(), issuer.clone());
        let description = move || async move {
            Json(json!({
                "issuer": itself, "authorization_endpoint": format!("{itself}/authorize"),
                "token_endpoint": format!("{itself}/token"), "jwks_uri": format!("{itself}/keys"),
            }))
        };
        let publish = move || async move {
            let mut deeds = of_keys.lock().unwrap();
            deeds.keys_read += 1;
            Json(json!({ "keys": deeds.keys }))
        };
        let exchange = move |body: Bytes| async move {
            let mut deeds = of_tokens.lock().unwrap();
            let form: BTreeMap<String, String> = oauth2::url::form_urlencoded::parse(&body).into_owned().collect();
            let verifier = PkceCodeVerifier::new(form.get("code_verifier").cloned().unwrap_or_default());
            let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
            let proven = deeds.challenge.as_deref() == Some(challenge.as_str());
            deeds.forms.push(form);
            match deeds.token.take().filter(|_| proven) {
                Some(token) => {
                    (StatusCode::OK, Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": token})))
                }
                None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))),
            }
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/keys", get(publish))
            .route("/token", post(exchange));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, deeds }
    }

    fn claims(&self, audience: &str) -> Value {
        let now = Utc::now().timestamp();
        json!({"iss": self.issuer, "aud": audience, "sub": "11", "roles": ["member"], "iat": now, "exp": now + 300})
    }

    /// A router that believes this provider, over storage that refuses every connection: what is let in gets as far as
    /// 503, and no further.
    fn believed(&self, at_most_every: Option<Duration>) -> Router {
        let pairs = [("OIDC_ISSUER", self.issuer.as_str()), ("OIDC_AUDIENCE", AUDIENCE), ("PUBLIC_URL", HOME)];
        let mut open_id = OpenId::new(settings(&pairs).unwrap(), Some("hush".into()), Some(&[7; 32])).unwrap();
        if let Some(at_most_every) = at_most_every {
            open_id.provider = Provider::new(&self.issuer, at_most_every).unwrap();
        }
        guarded(Access::OpenId(Box::new(open_id)))
    }
}

fn guarded(access: Access) -> Router {
    macro_rules! client {
        ($sdk:ident) => {
            $sdk::Client::from_conf(
                $sdk::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .region(Region::new("nowhere"))
                    .credentials_provider(Credentials::new("id", "key", None, None, "test"))
                    .endpoint_url("http://127.0.0.1:1")
                    .retry_config(RetryConfig::disabled())
                    .build(),
            )
        };
    }
    let (lake, store) =
        (Lake::new(client!(aws_sdk_s3), "bucket"), ContributionStore::new(client!(aws_sdk_dynamodb), "table"));
    router(Api::new(lake, store, register(), Settings::default(), chrono_tz::Tz::UTC).admitting(access))
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    fn location(&self) -> String {
        self.headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    /// What a browser sends after this answer.
    fn cookies(&self) -> Vec<String> {
        let set = self.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
        set.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect()
    }

    fn problem(&self) -> String {
        let problem: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body));
        problem["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

async fn ask(router: &Router, method: Method, uri: &str, headers: &[(&str, &str)], body: &str) -> Answered {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answered {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

async fn with_token(router: &Router, token: &str) -> Answered {
    ask(router, Method::GET, "/v1/insights", &[("authorization", &format!("Bearer {token}"))], "").await
}

fn changed(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

#[tokio::test]
async fn only_a_token_that_is_right_in_everything_is_let_in() {
    let (known, unknown) = (Signer::new("known"), Signer::new("unknown"));
    let provider = Liar::start(&[&known]).await;
    let router = provider.believed(None);
    let claims = provider.claims(AUDIENCE);
    let now = Utc::now().timestamp();
    assert_eq!(with_token(&router, &known.sign(&claims)).await.status, 503, "let in, as far as the storage");
    let several = changed(&claims, "aud", json!(["other", AUDIENCE]));
    assert_eq!(with_token(&router, &known.sign(&several)).await.status, 503);

    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        known.sign(&claims)
    };
    let signed = |name: &str, value: Value| known.sign(&changed(&claims, name, value));
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let payload = encoded(&claims);
    let good = known.sign(&claims);
    let (start, signature) = good.rsplit_once('.').unwrap();
    // What anybody can make who knows the provider's public key.
    let public = known.public.to_string();
    let confused = |secret: &[u8]| {
        let header = Header { kid: Some("known".into()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let other_name = Signer { name: "known", key: unknown.key.clone(), public: Value::Null };
    let other_algorithm = encoded(&json!({"alg": "ES384", "kid": "known"}));
    let logout = Header { kid: Some("known".into()), typ: Some("logout+jwt".into()), ..Header::new(Algorithm::ES256) };
    let bad = [
        ("expired", signed("exp", json!(now - 60))),
        ("without an end", without("exp")),
        ("not yet", signed("nbf", json!(now + 600))),
        ("another issuer", signed("iss", json!("https://evil.example"))),
        ("an issuer among others", signed("iss", json!([provider.issuer, "https://evil.example"]))),
        ("without an issuer", without("iss")),
        ("another audience", signed("aud", json!(CLIENT))),
        ("without an audience", without("aud")),
        ("without a subject", without("sub")),
        ("an unknown key", unknown.sign(&claims)),
        ("another key under a known name", other_name.sign(&claims)),
        ("unsigned", format!("{}.{payload}.", encoded(&json!({"alg": "none", "typ": "JWT"})))),
        ("unsigned, with a name", format!("{}.{payload}.", encoded(&json!({"alg": "None", "kid": "known"})))),
        ("the public key for a secret", confused(public.as_bytes())),
        ("a coordinate for a secret", confused(known.public["x"].as_str().unwrap().as_bytes())),
        ("another algorithm than its key's", format!("{other_algorithm}.{payload}.{signature}")),
        ("of another kind", encode(&logout, &claims, &known.key).unwrap()),
        (
            "another content",
            format!(
                "{}.{}.{signature}",
                start.split('.').next().unwrap(),
                encoded(&changed(&claims, "sub", json!("12")))
            ),
        ),
        ("cut", good[..good.len() - 4].to_owned()),
        ("no token", "abc".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in bad {
        let answered = with_token(&router, &token).await;
        assert_eq!((answered.status, answered.problem().as_str()), (401, "invalid-token"), "{what}");
        assert_eq!(answered.headers[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"", "{what}");
        assert!(!answered.body.contains("evil"), "{what}");
    }
    let answered = with_token(&router, &signed("roles", json!(["somebody"]))).await;
    assert_eq!((answered.status, answered.problem().as_str()), (403, "no-role"));
    // A token opens the data and no page, and what is no token is no session.
    let page = ask(&router, Method::GET, "/", &[("authorization", &format!("Bearer {good}"))], "").await;
    assert_eq!(page.status, 303);
    for headers in [vec![], vec![("authorization", "Basic YTpi")], vec![("cookie", "wastewalk=forged")]] {
        let answered = ask(&router, Method::GET, "/v1/insights", &headers, "").await;
        assert_eq!((answered.status, answered.problem().as_str()), (401, "not-signed-in"));
    }
}

#[tokio::test]
async fn a_secret_that_the_provider_publishes_signs_nothing() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let key = json!({"kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode(b"secret"), "alg": "HS256"});
    provider.deeds.lock().unwrap().keys.push(key);
    let router = provider.believed(None);
    assert_eq!(with_token(&router, &signer.sign(&provider.claims(AUDIENCE))).await.status, 503);
    let header = Header { kid: Some("shared".into()), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &provider.claims(AUDIENCE), &EncodingKey::from_secret(b"secret")).unwrap();
    assert_eq!(with_token(&router, &token).await.status, 401);
    let encryption = Signer::new("known");
    let mut public = encryption.public.clone();
    public["use"] = "enc".into();
    provider.deeds.lock().unwrap().keys = vec![public];
    let router = provider.believed(None);
    assert_eq!(
        with_token(&router, &encryption.sign(&provider.claims(AUDIENCE))).await.status,
        401,
        "a key to encrypt by"
    );
}

#[tokio::test]
async fn keys_are_read_again_for_a_name_that_is_not_known_but_not_for_each() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Liar::start(&[&old]).await;
    let claims = provider.claims(AUDIENCE);
    let reads = |provider: &Liar| provider.deeds.lock().unwrap().keys_read;
    let patient = provider.believed(None);
    for _ in 0..3 {
        assert_eq!(with_token(&patient, &old.sign(&claims)).await.status, 503);
    }
    assert_eq!(reads(&provider), 1, "known keys are kept");
    for _ in 0..5 {
        assert_eq!(with_token(&patient, &new.sign(&claims)).await.status, 401);
    }
    assert_eq!(reads(&provider), 1, "whoever makes up names does not make us ask");
    let eager = provider.believed(Some(Duration::ZERO));
    assert_eq!(with_token(&eager, &new.sign(&claims)).await.status, 401);
    provider.deeds.lock().unwrap().keys = vec![new.public.clone()];
    assert_eq!(with_token(&eager, &new.sign(&claims)).await.status, 503, "the provider has a new key");
    assert_eq!(with_token(&eager, &old.sign(&claims)).await.status, 401, "and the old one no more");
}

#[tokio::test]
async fn a_provider_that_says_it_is_another_is_not_believed() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let other = Liar { issuer: format!("{}/", provider.issuer), deeds: provider.deeds.clone() };
    let answered = with_token(&other.believed(None), &signer.sign(&other.claims(AUDIENCE))).await;
    assert_eq!((answered.status, answered.problem().as_str()), (503, "sign-in-unavailable"));
}

#[tokio::test]
async fn where_the_lake_knows_pseudonyms_a_claim_is_mapped_to_one() {
    let claims = json!({"sub": "11", "roles": "member"});
    let plain = || OpenId::new(settings(&[]).unwrap(), None, None).unwrap();
    let person = |open_id: &OpenId| open_id.grant(claims.as_object().unwrap()).unwrap().person.unwrap();
    assert_eq!(person(&plain()), "11");
    let key = PseudonymKey::new(&[b'k'; 32]).unwrap();
    let known = pseudonym(&key, "11");
    assert_eq!(person(&plain().with_pseudonyms(Some(key))), known);
    assert_ne!(known, "11");
}

/// A browser that was sent to the provider: where to, and with which cookie it comes back.
async fn sent(router: &Router, to: &str) -> (Url, String) {
    let begun = ask(router, Method::GET, &format!("/sign-in?{to}"), &[], "").await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    (begun.location().parse().unwrap(), begun.cookies().remove(0))
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}

impl Liar {
    /// Lets somebody in at the provider, and says where they are sent back to.
    fn lets_in(&self, address: &Url, token: String) -> String {
        let mut deeds = self.deeds.lock().unwrap();
        (deeds.token, deeds.challenge) = (Some(token), Some(parameter(address, "code_challenge")));
        format!("/sign-in/callback?code=abc&state={}", parameter(address, "state"))
    }

    fn id_token(&self, signer: &Signer, address: &Url) -> String {
        signer.sign(&changed(&self.claims(CLIENT), "nonce", parameter(address, "nonce").into()))
    }

    /// Signs somebody in and gives the cookie of their session.
    async fn session(&self, router: &Router, signer: &Signer) -> String {
        let (address, attempt) = sent(router, "").await;
        let back = self.lets_in(&address, self.id_token(signer, &address));
        let finished = ask(router, Method::GET, &back, &[("cookie", &attempt)], "").await;
        assert_eq!(finished.status, 303, "{}", finished.body);
        finished.cookies().into_iter().find(|cookie| cookie.starts_with("wastewalk=")).unwrap()
    }
}

#[tokio::test]
async fn somebody_signs_in_comes_back_to_their_page_and_signs_out() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let router = provider.believed(None);
    let first = ask(&router, Method::GET, "/insights/waste?scope=team:1", &[], "").await;
    assert_eq!((first.status, first.location().as_str()), (303, "/sign-in?to=%2Finsights%2Fwaste%3Fscope%3Dteam:1"));
    let (address, attempt) = sent(&router, "to=%2Finsights%2Fwaste%3Fscope%3Dteam:1").await;
    assert!(address.as_str().starts_with(&format!("{}/authorize?", provider.issuer)));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("code_challenge_method", "S256"),
        ("scope", "openid profile"),
        ("redirect_uri", "http://127.0.0.1:8080/sign-in/callback"),
    ] {
        assert_eq!(parameter(&address, name), value);
    }
    for secret in ["state", "nonce"] {
        assert!(parameter(&address, secret).len() >= 16 && !attempt.contains(&parameter(&address, secret)));
    }
    let back = provider.lets_in(&address, provider.id_token(&signer, &address));
    let finished = ask(&router, Method::GET, &back, &[("cookie", &attempt)], "").await;
    assert_eq!((finished.status, finished.location().as_str()), (303, "/insights/waste?scope=team:1"));
    let form = provider.deeds.lock().unwrap().forms[0].clone();
    assert_eq!((form["code"].as_str(), form["grant_type"].as_str()), ("abc", "authorization_code"));
    let cookies = finished.cookies();
    assert!(cookies.contains(&"wastewalk-sign-in=".to_owned()), "the attempt is over");
    let session = cookies.iter().find(|cookie| cookie.starts_with("wastewalk=")).unwrap().as_str();
    for uri in ["/", "/v1/insights"] {
        assert_eq!(ask(&router, Method::GET, uri, &[("cookie", session)], "").await.status, 503, "let in");
    }
    // Another person's page is not theirs, whether there is such a person or not.
    for uri in ["/v1/insights?scope=person:12", "/v1/insights?scope=person:nobody"] {
        let answered = ask(&router, Method::GET, uri, &[("cookie", session)], "").await;
        assert_eq!((answered.status, answered.problem().as_str()), (403, "too-few-people"));
    }
    assert_eq!(
        ask(&router, Method::GET, &back, &[("cookie", session)], "").await.status,
        401,
        "an attempt counts once"
    );
    assert_eq!(ask(&router, Method::GET, "/signed-out", &[], "").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_is_not_for_this_browser_signs_nobody_in() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let router = provider.believed(None);
    let now = Utc::now().timestamp();
    let (address, attempt) = sent(&router, "").await;
    let attempt = attempt.as_str();
    let claims = changed(&provider.claims(CLIENT), "nonce", parameter(&address, "nonce").into());
    let bad = [
        ("another nonce", changed(&claims, "nonce", json!("other"))),
        ("no nonce", provider.claims(CLIENT)),
        ("expired", changed(&claims, "exp", json!(now - 60))),
        ("another issuer", changed(&claims, "iss", json!("https://evil.example"))),
        ("for the API", changed(&claims, "aud", json!(AUDIENCE))),
        ("for several", changed(&claims, "aud", json!([CLIENT, "other"]))),
        ("by another client", changed(&claims, "azp", json!("other"))),
    ];
    for (what, claims) in bad {
        let back = provider.lets_in(&address, signer.sign(&claims));
        let finished = ask(&router, Method::GET, &back, &[("cookie", attempt)], "").await;
        assert_eq!(finished.status, 401, "{what}: {}", finished.body);
        assert!(!finished.cookies().iter().any(|cookie| cookie.starts_with("wastewalk=")), "{what}");
        assert!(finished.body.contains("<h1>You were not signed in</h1>"), "{what}");
    }
    let good = || provider.lets_in(&address, signer.sign(&claims));
    let (_, elsewhere) = sent(&router, "").await;
    let (kept, last) = attempt.split_at(attempt.len() - 1);
    let touched = format!("{kept}{}", if last == "A" { "B" } else { "A" });
    for (what, back, cookie) in [
        ("another state", good().replace("state=", "state=x"), attempt),
        ("no state", "/sign-in/callback?code=abc".to_owned(), attempt),
        ("two states", good() + "&state=x", attempt),
        ("another browser's attempt", good(), elsewhere.as_str()),
        ("no attempt", good(), "a=b"),
        ("a touched attempt", good(), touched.as_str()),
        ("another provider", good() + "&iss=https%3A%2F%2Fevil.example", attempt),
        ("no code", good().replace("code=abc", "error=access_denied&error_description=%3Cscript%3E"), attempt),
    ] {
        let finished = ask(&router, Method::GET, &back, &[("cookie", cookie)], "").await;
        assert_eq!(finished.status, 401, "{what}");
        assert!(!finished.cookies().iter().any(|cookie| cookie.starts_with("wastewalk=")), "{what}");
        assert!(!finished.body.contains("<script"), "{what}");
    }
    // Whoever stole the code does not have what proves that it is theirs.
    let back = good();
    provider.deeds.lock().unwrap().challenge = Some("another".into());
    assert_eq!(ask(&router, Method::GET, &back, &[("cookie", attempt)], "").await.status, 401);
    let without_role = changed(&claims, "roles", json!([]));
    let back = provider.lets_in(&address, signer.sign(&without_role));
    let finished = ask(&router, Method::GET, &back, &[("cookie", attempt)], "").await;
    assert_eq!(finished.status, 403);
    assert!(finished.body.contains("<h1>You have no role here</h1>"));
    assert_eq!(
        ask(&router, Method::GET, &good(), &[("cookie", attempt)], "").await.status,
        303,
        "all else being right"
    );
}

#[tokio::test]
async fn nobody_is_sent_elsewhere_and_nothing_is_written_between_the_headers() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let router = provider.believed(None);
    for to in [
        "to=https%3A%2F%2Fevil.example",
        "to=%2F%2Fevil.example",
        "to=%2F%5Cevil.example",
        "to=%2F%0d%0aSet-Cookie%3A%20a%3Db",
        "to=%2F%09%2Fevil.example",
        "to=/&to=//evil.example",
        "to=javascript%3Aalert(1)",
    ] {
        let (address, attempt) = sent(&router, to).await;
        let back = provider.lets_in(&address, provider.id_token(&signer, &address));
        let finished = ask(&router, Method::GET, &back, &[("cookie", &attempt)], "").await;
        assert_eq!((finished.status, finished.location().as_str()), (303, "/"), "{to}");
        assert!(!finished.headers.iter().any(|(_, value)| value.as_bytes().starts_with(b"a=b")), "{to}");
    }
    let hostile = ask(&router, Method::GET, "/nothing?%0d%0aSet-Cookie:%20a=b&x=//evil.example", &[], "").await;
    assert!(hostile.location().starts_with("/sign-in?to=%2Fnothing%3F"), "{}", hostile.location());
    assert!(!hostile.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn only_the_form_of_ones_own_page_signs_out() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    let pairs = [("OIDC_ISSUER", provider.issuer.as_str()), ("PUBLIC_URL", HOME)];
    let open_id = OpenId::new(settings(&pairs).unwrap(), None, Some(&[7; 32])).unwrap();
    let router = provider.believed(None);
    let session = provider.session(&router, &signer).await;
    let cookie = HeaderMap::from_iter([(header::COOKIE, session.parse().unwrap())]);
    let token = open_id.session(&cookie).unwrap().form_token;
    let form = format!("token={}", token.replace('+', "%2B"));
    let own = ("origin", HOME);
    for (what, headers, body) in [
        ("no token", vec![own], String::new()),
        ("another token", vec![own], "token=guess".to_owned()),
        ("from another site", vec![("origin", "https://evil.example")], form.clone()),
        ("from nowhere", vec![("origin", "null")], form.clone()),
        ("as a browser says", vec![("sec-fetch-site", "cross-site")], form.clone()),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([("cookie", session.as_str())]).collect();
        let answered = ask(&router, Method::POST, "/sign-out", &headers, &body).await;
        assert_eq!(answered.status, 403, "{what}");
        assert!(answered.cookies().is_empty(), "{what}");
    }
    let without = ask(&router, Method::POST, "/sign-out", &[own], &form).await;
    assert!(without.cookies().is_empty(), "there is nothing to sign out of");
    let read = ask(&router, Method::GET, "/sign-out", &[("cookie", &session)], "").await;
    assert_eq!((read.status, read.cookies()), (405, vec![]));
    let headers = [own, ("sec-fetch-site", "same-origin"), ("cookie", session.as_str())];
    let answered = ask(&router, Method::POST, "/sign-out", &headers, &form).await;
    assert_eq!((answered.status, answered.location().as_str()), (303, "/signed-out"));
    assert_eq!(answered.cookies(), ["wastewalk="]);
}

#[tokio::test]
async fn no_way_of_writing_an_address_gets_past_the_gate() {
    let signer = Signer::new("known");
    let provider = Liar::start(&[&signer]).await;
    for router in [provider.believed(None), guarded(Access::Closed), guarded(Access::default())] {
        for uri in [
            "/",
            "/quality",
            "/insights/waste",
            "/v1/insights",
            "/v1/health",
            "/openapi.json",
            "//v1/insights",
            "/v1//insights",
            "/v1/insights/",
            "/./v1/insights",
            "/assets/../v1/insights",
            "/assets/style.css/../../v1/insights",
            "/assets/%2e%2e/v1/insights",
            "/sign-in/../v1/insights",
            "/sign-in/callback/../../v1/insights",
            "/%76%31/insights",
            "/V1/insights",
            "/insights/..%2f..%2f..%2fetc%2fpasswd",
            "/insights/%2e%2e/activities",
            "/v1/insights/..%5c..%5cetc/trend",
            "/nothing",
        ] {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                let answered = ask(&router, method.clone(), uri, &[], "").await;
                assert!(matches!(answered.status, 303 | 401), "{method} {uri}: {}", answered.status);
                assert!(!answered.body.contains("root:"), "{uri}");
            }
        }
        assert_eq!(ask(&router, Method::GET, "/assets/style.css", &[], "").await.status, 200);
    }
    let closed = guarded(Access::Closed);
    for uri in ["/sign-in", "/sign-in/callback?code=a&state=b", "/signed-out"] {
        assert_eq!(ask(&closed, Method::GET, uri, &[], "").await.status, 404, "there is nobody to ask");
    }
    let page = ask(&closed, Method::GET, "/", &[], "").await;
    assert!(page.body.contains("<h1>You are not signed in</h1>"));
    let let_in = guarded(Access::As(Arc::new(Caller::operator())));
    for uri in ["/insights/..%2f..%2fetc%2fpasswd", "/v1/insights/..%2fhealth", "/assets/..%2f..%2fCargo.toml"] {
        assert_eq!(ask(&let_in, Method::GET, uri, &[], "").await.status, 404, "{uri}");
    }
}
