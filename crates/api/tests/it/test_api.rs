//! An API with a database, the core pack, and one identity per role.

use crate::contract;
use attune_api::{
    Api,
    auth::{Claims, Keys, Peer},
};
use attune_common::{
    bus::{Bus, InProcessBus},
    config::{Config, Security},
    packs,
    service::{Context, Tasks},
    store::{identity, refresh_token},
    testing::Database,
};
use attune_domain::{IdentityId, identity::Role};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tower::ServiceExt as _;
use uuid::Uuid;

pub const JWT_SECRET: &str = "8f1c0d5b7a9e24633f0a6d2c1b9e8d7f40516273a4b5c6d7e8f9012345678abc";
pub const JWT_SECRET_BEFORE: &str = "1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff001";

#[derive(Debug)]
pub struct TestApi {
    pub database: Database,
    pub router: Router,
    pub bus: Arc<dyn Bus>,
    pub context: Context,
    pub tasks: Tasks,
    tokens: HashMap<Role, String>,
    pub identities: HashMap<Role, IdentityId>,
}

impl TestApi {
    pub async fn new() -> Self {
        Self::on(Database::new().await).await
    }

    pub async fn on(database: Database) -> Self {
        let core = packs::core().expect("the core pack is valid");
        packs::load(&database.pool, &core).await.expect("the core pack loads");
        let mut config = Config::default();
        config.security.jwt_secret = Some(JWT_SECRET.into());
        config.security.jwt_secret_previous = Some(JWT_SECRET_BEFORE.into());
        config.api.requests_per_second = 0;
        config.api.public_url = Some("https://attune.example.org/".to_owned());
        let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
        let tasks = Tasks::default();
        let context = Context::new(Arc::new(config), database.pool.clone(), bus.clone(), &tasks);
        let api = Api::new(&context).expect("the API is configured");
        let router = attune_api::router(api, context.clone());
        let mut this = Self {
            database,
            router,
            bus,
            context,
            tasks,
            tokens: HashMap::new(),
            identities: HashMap::new(),
        };
        for role in Role::ALL {
            let id = this.identity(role.as_str(), *role).await;
            let token = this.sign_in(id).await;
            this.identities.insert(*role, id);
            this.tokens.insert(*role, token);
        }
        this
    }

    /// An identity without a usable password.
    pub async fn identity(&self, login: &str, role: Role) -> IdentityId {
        let mut connection = self.database.pool.acquire().await.expect("a connection");
        identity::insert(&mut connection, login, login, "-", role)
            .await
            .expect("an identity")
    }

    /// An access token, as a sign-in returns it.
    pub async fn sign_in(&self, id: IdentityId) -> String {
        let family = Uuid::now_v7();
        let mut connection = self.database.pool.acquire().await.expect("a connection");
        refresh_token::insert(&mut connection, family.as_bytes(), family, id, 3600.0)
            .await
            .expect("a sign-in");
        keys(JWT_SECRET).sign(&Claims::new(id, family)).expect("a token")
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens[&role]
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Call::new("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Call::new("POST", path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Call::new("PATCH", path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Call::new("DELETE", path)).await
    }

    /// Sends as an admin, unless the call has another token. The answer must match the OpenAPI document.
    pub async fn send(&self, call: Call) -> Answer {
        let (method, path) = (call.method.to_string(), call.path.clone());
        let (status, headers, body) = self.response(call).await;
        let answer = Answer {
            status,
            headers,
            raw: body.to_vec(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        answer.check_shape(&path);
        contract::check(&method, &path, &answer);
        answer
    }

    /// For an answer that is text.
    pub async fn send_text(&self, call: Call) -> (StatusCode, HeaderMap, String) {
        let (status, headers, body) = self.response(call).await;
        (status, headers, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    async fn response(&self, call: Call) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::builder().method(call.method).uri(&call.path);
        if call.host && !call.headers.iter().any(|(name, _)| name == "host") {
            request = request.header(header::HOST, "attune.example.org");
        }
        let token = match call.who {
            Who::Admin => Some(self.tokens[&Role::Admin].clone()),
            Who::Anonymous => None,
            Who::Token(token) => Some(token),
        };
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(call.body)).expect("a request");
        request
            .extensions_mut()
            .insert(Peer(call.from.parse().expect("an address")));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        (parts.status, parts.headers, bytes)
    }

    /// Replaces the API by one with another configuration.
    pub fn configured(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.context.config).clone();
        change(&mut config);
        self.context.config = Arc::new(config);
        let api = Api::new(&self.context).expect("the API is configured");
        self.router = attune_api::router(api, self.context.clone());
    }

    pub async fn close(self) {
        // The writer of events ends when its last sender is dropped.
        drop(self.router);
        self.tasks.finish().await;
        self.database.close().await;
    }
}

pub fn keys(secret: &str) -> Keys {
    let security = Security {
        jwt_secret: Some(secret.into()),
        ..Security::default()
    };
    Keys::new(&security).expect("a key")
}

#[derive(Debug, Clone)]
enum Who {
    Admin,
    Anonymous,
    Token(String),
}

#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    who: Who,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    from: String,
    host: bool,
}

impl Call {
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.parse().expect("a method"),
            path: path.to_owned(),
            who: Who::Admin,
            headers: Vec::new(),
            body: Vec::new(),
            from: "192.0.2.1:1000".to_owned(),
            host: true,
        }
    }

    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").raw(body.to_string())
    }

    pub fn raw(self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this token, or none.
    pub fn token(self, token: Option<&str>) -> Self {
        let who = token.map_or(Who::Anonymous, |token| Who::Token(token.to_owned()));
        Self { who, ..self }
    }

    pub fn without_host(self) -> Self {
        Self { host: false, ..self }
    }

    pub fn from(self, address: &str) -> Self {
        Self {
            from: address.to_owned(),
            ..self
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    /// The body as received.
    pub raw: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The paths of the invalid fields of a problem.
    pub fn fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["path"].as_str()).collect()
    }

    pub fn kind(&self) -> &str {
        self.body["type"]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches("urn:attune:problem:")
    }

    /// Every problem has the same shape and reveals no internals.
    #[track_caller]
    fn check_shape(&self, path: &str) {
        if !(self.status.is_client_error() || self.status.is_server_error()) || path.starts_with("/health") {
            return;
        }
        assert_ne!(self.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}: {}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json", "{path}");
        let body = &self.body;
        assert_eq!(body["status"], self.status.as_u16(), "{path}: {body}");
        assert_eq!(body["instance"], self.header("x-request-id"), "{path}: {body}");
        for field in ["type", "title", "detail"] {
            assert!(
                body[field].as_str().is_some_and(|text| !text.is_empty()),
                "{path}: {field} of {body}"
            );
        }
        assert!(body["errors"].is_array(), "{path}: {body}");
        let text = body.to_string().to_lowercase();
        for inner in ["select ", "insert into", "sqlx", "postgres", "/crates/", "panicked"] {
            assert!(!text.contains(inner), "{path} reveals {inner:?}: {body}");
        }
    }
}
