//! Serves the table of routes: guards every route by its right and puts the shared layers around all of them.

use crate::{
    api::Api,
    auth,
    client::{self, Proxies},
    compressed, headers, limits, load_shedding, openapi,
    problem::{self, Methods, Problem},
    request::body_budget::{self, BodyBudget},
    request_id,
    route::Route,
    routes::{auth::Rights, docs::OpenApi, pack_files},
    table, ui,
};
use attune_common::{health, service::Context, store};
use attune_domain::identity::Role;
use axum::{
    Extension, Router,
    extract::{MatchedPath, Request},
    http::Method,
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::Response,
};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, LazyLock},
    time::Instant,
};
use tower_http::{catch_panic::CatchPanicLayer, normalize_path::NormalizePath};

const WEBHOOKS: &str = "/api/v1/webhooks/";
const PACKS: &str = "/api/v1/packs";
const EXECUTIONS: &str = "/api/v1/executions";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document(&table::routes()).to_string());

static RIGHTS: LazyLock<Vec<(Role, String)>> = LazyLock::new(|| {
    let named = |route: Route| Some((route.right.role()?, format!("{} {}", route.method, route.path)));
    table::routes().into_iter().filter_map(named).collect()
});

/// The routes with all layers, and health. A trailing slash in a path is ignored.
pub fn router(api: Api, context: Context) -> Router {
    Router::new().fallback_service(NormalizePath::trim_trailing_slash(exact(api, context)))
}

fn exact(api: Api, context: Context) -> Router {
    let proxies = Proxies::new(&context.config.api);
    let pages = ui::Pages::new(&context.config.api);
    let mut router = Router::new();
    for route in table::routes() {
        let guard = from_fn_with_state((api.authority.clone(), route.right), auth::authorize);
        let shed = from_fn_with_state((api.backlog.clone(), route.priority()), load_shedding::layer);
        let mut handler = route.handler.route_layer(guard).route_layer(shed);
        if route.secret {
            handler = handler.route_layer(map_response(compressed::never));
        }
        router = router.route(route.path, handler);
    }
    router
        .fallback(not_found)
        .with_state(api)
        .layer(Extension(OpenApi(&DOCUMENT)))
        .layer(Extension(Rights(&RIGHTS)))
        .layer(from_fn_with_state(BodyBudget::default(), body_budget::layer))
        .layer(from_fn_with_state(proxies, client::identify))
        .layer(from_fn(with_time_limit))
        .layer(from_fn(headers::require_host))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(methods(), problem::finish))
        // Outside, because a page may have the status 404.
        .layer(from_fn_with_state(pages, ui::serve))
        .layer(from_fn(request_id::assign))
        .layer(from_fn(measured))
        .layer(compressed::layer())
        .merge(health::router(context))
        .layer(from_fn(headers::secure))
}

/// The methods of every path of the table.
fn methods() -> Methods {
    let mut methods = HashMap::<_, String>::new();
    for route in table::routes() {
        let of_path = methods.entry(route.path).or_default();
        if !of_path.is_empty() {
            of_path.push_str(", ");
        }
        of_path.push_str(route.method.as_str());
    }
    Arc::new(methods)
}

/// Counts answers by the pattern of the route. All unknown paths share the label `unmatched`.
async fn measured(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("method", method.to_owned()), ("route", route)];
    metrics::histogram!("attune_http_request_seconds", &labels).record(started.elapsed());
    let [method, route] = labels;
    metrics::counter!("attune_http_requests_total", &[method, route, ("status", status)]).increment(1);
    response
}

async fn not_found() -> Problem {
    Problem::no_such_route()
}

async fn with_time_limit(request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.uri().path();
    let limit = if path.starts_with(WEBHOOKS) {
        limits::WEBHOOK
    } else if path == PACKS && pack_files::format_of(request.headers()).is_some() {
        limits::UPLOAD
    } else if path.starts_with(EXECUTIONS) && request.uri().query().is_some_and(|query| query.contains("wait=")) {
        // The answer has to be on its way when the wait is over.
        limits::REQUEST + limits::WAIT_MAX
    } else {
        limits::REQUEST
    };
    // Dropped only after the database is marked, so that its connection returns to a pool that is already warned.
    let answer = pin!(next.run(request));
    let answered = tokio::time::timeout(limit, answer).await;
    answered.map_err(|_| {
        store::mark_unresponsive();
        Problem::time_limit(limit)
    })
}
