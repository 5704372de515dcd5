//! A client of the API that is signed in.

use attune_common::testing::eventually;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Api {
    pub url: String,
    token: String,
    http: Client,
}

impl Api {
    /// Waits until the API is ready, and signs in as admin.
    pub async fn sign_in(url: &str, password: &str) -> Self {
        let http = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(15))
            .build()
            .expect("a client can be made");
        let ready = async || {
            let answer = http.get(format!("{url}/health/ready")).send().await.ok()?;
            answer.status().is_success().then_some(())
        };
        eventually("the API is ready", Duration::from_secs(30), ready).await;
        let mut api = Self {
            url: url.to_owned(),
            token: String::new(),
            http,
        };
        let tokens = api
            .post("/auth/login", json!({"username": "admin", "password": password}))
            .await;
        let token = tokens["access_token"].as_str();
        token.expect("a sign-in gives a token").clone_into(&mut api.token);
        api
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    /// The whole answer, including errors.
    pub async fn send(request: RequestBuilder) -> Result<(StatusCode, Value), reqwest::Error> {
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn data(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let (status, mut answer) = Self::send(request)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"));
        assert!(status.is_success(), "{method} {path}: {status}: {answer}");
        if answer["data"].is_null() {
            answer
        } else {
            answer["data"].take()
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.data(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.data(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.data(Method::PUT, path, Some(body)).await
    }

    /// Runs an action manually and returns the execution's id.
    pub async fn run(&self, action: &str, parameters: Value) -> String {
        let body = json!({"action_ref": action, "parameters": parameters});
        let execution = self.post("/api/v1/executions", body).await;
        execution["id"].as_str().expect("an execution has an id").to_owned()
    }

    pub async fn execution(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/executions/{id}")).await
    }

    /// Waits until an execution is in this state, and returns it.
    pub async fn execution_is(&self, id: &str, status: &str, within: Duration) -> Value {
        let what = format!("the execution {id} is {status}");
        let poll = async || {
            let execution = self.execution(id).await;
            (execution["status"] == status).then_some(execution)
        };
        eventually(&what, within, poll).await
    }
}
