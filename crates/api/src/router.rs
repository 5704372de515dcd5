//! Every route, who may use it, and what stands around all of them.
//!
//! [`routes`] is the one table: a route that is not in it does not exist, and a row cannot be written without the right
//! that it needs.

use crate::{
    api::Api,
    auth::{
        self,
        Right::{Admin, Editor, Operator, Public, Viewer},
    },
    client::{self, Proxies},
    compressed, headers,
    problem::{self, Problem},
    request::room::{self, Room},
    request_id,
    route::{Route, delete, get, patch, post, put},
    routes::{
        action, attempt, audit, auth as session, docs, dry_run, enforcement, event, execution,
        execution_wait::WAIT_MAX, explain, identity as person, log, pack, queue, rotate, rule, runtime, service,
        stream, timer, token, trace, trigger, webhook, webhook_request,
    },
    shed,
};
use attune_common::{
    health,
    service::Context,
    store::{
        self, audit::AuditEntry, quarantine::Quarantined, service_instance::Service, timer_list, upkeep::Retention,
    },
};
use attune_domain::{
    definition::{Action, Pack, Rule, Runtime},
    identity::{ApiToken, Identity},
    occurrence::{Attempt, Enforcement, Event, Execution, ExecutionSummary},
};
use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::Response,
};
use std::{
    pin::pin,
    time::{Duration, Instant},
};
use tower_http::{catch_panic::CatchPanicLayer, normalize_path::NormalizePath};

/// A request takes no longer, whatever the database does.
pub const REQUEST: Duration = Duration::from_secs(10);
/// A webhook may wait on purpose for what comes of it; until its event is there it has no longer than others.
const WEBHOOK: Duration = Duration::from_secs(30);
const WEBHOOKS: &str = "/api/v1/webhooks/";
const EXECUTIONS: &str = "/api/v1/executions";

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "one table, one row a route")]
pub fn routes() -> Vec<Route> {
    vec![
        post("/auth/login", Public, session::login).takes::<session::LoginForm>().one::<session::Tokens>().secret().says("Sign in"),
        post("/auth/refresh", Public, session::refresh).takes::<session::RefreshForm>().one::<session::Tokens>().secret().says("Change a refresh token for new tokens"),
        post("/auth/logout", Viewer, session::logout).says("Sign out"),
        get("/auth/me", Viewer, session::me).one::<Identity>().says("Who am I?"),
        put("/auth/password", Viewer, session::password).takes::<session::PasswordForm>().one::<session::PasswordChanged>().says("Set a new password"),

        get("/", Public, docs::welcome).one::<docs::Welcome>().says("What this is, and where to go from here"),
        get("/api/v1/openapi.json", Public, docs::openapi_json).text("application/json").says("This document"),
        get("/api/docs", Public, docs::page).text("text/html").says("This document, for reading"),

        get("/api/v1/packs", Viewer, pack::list).query::<pack::PackFilter>().list::<Pack>().says("Packs"),
        post("/api/v1/packs", Editor, pack::create).takes::<pack::PackForm>().creates::<Pack>().says("Make a pack"),
        get("/api/v1/packs/{ref}", Viewer, pack::get).one::<Pack>().says("A pack"),
        put("/api/v1/packs/{ref}", Editor, pack::update).replaces::<pack::PackForm>().one::<Pack>().says("Replace: a field that is left out goes back to its default"),
        patch("/api/v1/packs/{ref}", Editor, pack::update).changes::<pack::PackForm>().one::<Pack>().says("Change the fields that are given"),
        delete("/api/v1/packs/{ref}", Editor, pack::delete).query::<pack::Removal>().says("Remove a pack"),
        post("/api/v1/packs/{ref}/enable", Operator, pack::enable).one::<Pack>().says("Switch a pack on"),
        post("/api/v1/packs/{ref}/disable", Operator, pack::disable).one::<Pack>().says("Switch a pack off"),

        get("/api/v1/runtimes", Viewer, runtime::list).query::<runtime::RuntimeFilter>().list::<Runtime>().says("Runtimes"),
        get("/api/v1/runtimes/{ref}", Viewer, runtime::get).one::<Runtime>().says("A runtime"),

        get("/api/v1/triggers", Viewer, trigger::list).query::<trigger::TriggerFilter>().list::<trigger::TriggerView>().says("Triggers"),
        post("/api/v1/triggers", Editor, trigger::create).takes::<trigger::TriggerForm>().creates::<trigger::TriggerView>().secret().says("Make a trigger"),
        get("/api/v1/triggers/{ref}", Viewer, trigger::get).one::<trigger::TriggerView>().says("A trigger"),
        put("/api/v1/triggers/{ref}", Editor, trigger::update).replaces::<trigger::TriggerForm>().one::<trigger::TriggerView>().secret().says("Replace: a field that is left out goes back to its default"),
        patch("/api/v1/triggers/{ref}", Editor, trigger::update).changes::<trigger::TriggerForm>().one::<trigger::TriggerView>().secret().says("Change the fields that are given"),
        delete("/api/v1/triggers/{ref}", Editor, trigger::delete).says("Remove a trigger"),
        post("/api/v1/triggers/{ref}/enable", Operator, trigger::enable).one::<trigger::TriggerView>().says("Switch a trigger on"),
        post("/api/v1/triggers/{ref}/disable", Operator, trigger::disable).one::<trigger::TriggerView>().says("Switch a trigger off"),
        post("/api/v1/triggers/{ref}/rotate-secret", Editor, rotate::rotate_secret).takes::<rotate::SecretRotation>().one::<rotate::RotatedSecret>().secret().says("Give a webhook another secret; the one before counts for a while"),
        post("/api/v1/triggers/{ref}/rotate-key", Editor, rotate::rotate_key).takes::<rotate::KeyRotation>().one::<rotate::RotatedKey>().secret().says("Give a webhook another address; the one before leads there for a while"),
        post("/api/v1/triggers/{ref}/fire", Operator, event::fire).takes::<event::FireForm>().creates::<Event>().idempotent().says("Fire by hand"),
        get("/api/v1/triggers/{ref}/occurrences", Viewer, timer::of_trigger).query::<timer::OccurrenceFilter>().one::<timer::Occurrences>().says("When a timer will fire"),
        get("/api/v1/timers", Viewer, timer::list).query::<timer::TimerFilter>().list::<timer_list::Timer>().says("Timers, and how they do"),
        post("/api/v1/timers/preview", Viewer, timer::preview).takes::<timer::PreviewForm>().one::<timer::Occurrences>().says("When a configuration would fire"),

        get("/api/v1/actions", Viewer, action::list).query::<action::ActionFilter>().list::<Action>().says("Actions"),
        post("/api/v1/actions", Editor, action::create).takes::<action::ActionForm>().creates::<Action>().says("Make an action"),
        get("/api/v1/actions/{ref}", Viewer, action::get).one::<Action>().says("An action"),
        put("/api/v1/actions/{ref}", Editor, action::update).replaces::<action::ActionForm>().one::<Action>().says("Replace: a field that is left out goes back to its default"),
        patch("/api/v1/actions/{ref}", Editor, action::update).changes::<action::ActionForm>().one::<Action>().says("Change the fields that are given"),
        delete("/api/v1/actions/{ref}", Editor, action::delete).says("Remove an action"),

        get("/api/v1/rules", Viewer, rule::list).query::<rule::RuleFilter>().list::<Rule>().says("Rules"),
        post("/api/v1/rules", Editor, rule::create).takes::<rule::RuleForm>().creates::<Rule>().says("Make a rule"),
        get("/api/v1/rules/{ref}", Viewer, rule::get).one::<Rule>().says("A rule"),
        put("/api/v1/rules/{ref}", Editor, rule::update).replaces::<rule::RuleForm>().one::<Rule>().says("Replace: a field that is left out goes back to its default"),
        patch("/api/v1/rules/{ref}", Editor, rule::update).changes::<rule::RuleForm>().one::<Rule>().says("Change the fields that are given"),
        delete("/api/v1/rules/{ref}", Editor, rule::delete).says("Remove a rule"),
        post("/api/v1/rules/{ref}/enable", Operator, rule::enable).one::<Rule>().says("Switch a rule on"),
        post("/api/v1/rules/{ref}/disable", Operator, rule::disable).one::<Rule>().says("Switch a rule off"),
        post("/api/v1/rules/test", Viewer, dry_run::test).takes::<dry_run::TestForm>().one::<dry_run::DryRun>().looks().says("A dry run of a rule"),

        get("/api/v1/events", Viewer, event::list).query::<event::EventFilter>().list::<Event>().looks().says("Events, newest first"),
        post("/api/v1/events", Operator, event::create).takes::<event::EventForm>().creates::<Event>().idempotent().says("Hand in an event"),
        get("/api/v1/events/{id}", Viewer, event::get).one::<Event>().says("An event"),
        get("/api/v1/events/{id}/explain", Viewer, explain::event).query::<explain::ExplainFilter>().one::<explain::Explanation>().looks().says("What each rule says to an event"),
        get("/api/v1/traces/{id}", Viewer, trace::get).query::<trace::TraceFilter>().one::<trace::Chain>().looks().says("Everything with the same trace_id as an event or an execution"),
        get("/api/v1/enforcements", Viewer, enforcement::list).query::<enforcement::EnforcementFilter>().list::<Enforcement>().looks().says("Enforcements, newest first"),
        get("/api/v1/enforcements/{id}", Viewer, enforcement::get).one::<Enforcement>().says("An enforcement"),
        get("/api/v1/executions", Viewer, execution::list).query::<execution::ExecutionFilter>().list::<ExecutionSummary>().looks().says("Executions, newest first"),
        post("/api/v1/executions", Operator, execution::create).takes::<execution::ExecutionForm>().creates::<Execution>().idempotent().query::<execution::WaitFilter>().says("Run an action"),
        get("/api/v1/executions/{id}", Viewer, execution::get).one::<execution::ExecutionView>().says("An execution"),
        get("/api/v1/executions/{id}/attempts", Viewer, attempt::list).list::<Attempt>().says("Every try of an execution, the first one first"),
        get("/api/v1/executions/{id}/logs", Viewer, log::get).query::<log::LogFilter>().one::<log::Logs>().says("What it wrote, and what it writes"),
        post("/api/v1/executions/{id}/cancel", Operator, execution::cancel).one::<Execution>().says("Stop an execution"),
        post("/api/v1/executions/{id}/rerun", Operator, execution::rerun).creates::<Execution>().idempotent().query::<execution::WaitFilter>().says("Run it once more"),

        get("/api/v1/stream", Viewer, stream::live).query::<stream::StreamFilter>().text("text/event-stream").says("What happens, live, as server-sent events: each change at least once, those of one chain in any order"),

        post("/api/v1/webhooks/{key}", Public, webhook::receive).accepts::<webhook::Received>().says("Call a webhook"),
        put("/api/v1/webhooks/{key}", Public, webhook::receive).accepts::<webhook::Received>().says("Call a webhook that allows it"),
        patch("/api/v1/webhooks/{key}", Public, webhook::receive).accepts::<webhook::Received>().says("Call a webhook that allows it"),
        delete("/api/v1/webhooks/{key}", Public, webhook::receive).accepts::<webhook::Received>().says("Call a webhook that allows it"),
        get("/api/v1/webhooks/{key}", Public, webhook::receive).accepts::<webhook::Received>().says("Call a webhook that allows it"),
        get("/api/v1/webhook-requests", Editor, webhook_request::list).query::<webhook_request::RequestFilter>().list::<webhook_request::WebhookRequest>().looks().says("What came to webhooks, newest first"),
        get("/api/v1/webhook-requests/{id}", Editor, webhook_request::get).one::<webhook_request::WebhookRequest>().says("What came to a webhook"),
        post("/api/v1/webhook-requests/{id}/redeliver", Editor, webhook_request::redeliver).creates::<Event>().idempotent().says("Let a kept request through, whatever was said of it"),

        get("/api/v1/queue", Viewer, queue::list).query::<queue::QueueFilter>().list::<Quarantined>().says("Events that were set aside"),
        post("/api/v1/queue/{id}/replay", Operator, queue::replay).one::<Event>().says("Let an event try again"),
        delete("/api/v1/queue/{id}", Operator, queue::discard).says("Give an event up"),
        get("/api/v1/services", Viewer, service::list).list::<Service>().says("Services"),
        get("/api/v1/workers", Viewer, service::workers).list::<Service>().says("Workers"),

        get("/api/v1/retention", Viewer, service::retention).list::<Retention>().says("How long history is kept, and what was removed"),
        get("/api/v1/audit", Admin, audit::list).query::<audit::AuditFilter>().list::<AuditEntry>().says("Who did what, newest first"),

        get("/api/v1/identities", Admin, person::list).query::<person::IdentityFilter>().list::<Identity>().says("Identities"),
        post("/api/v1/identities", Admin, person::create).takes::<person::IdentityForm>().creates::<Identity>().says("Make an identity"),
        get("/api/v1/identities/{id}", Admin, person::get).one::<Identity>().says("An identity"),
        patch("/api/v1/identities/{id}", Admin, person::update).changes::<person::IdentityChange>().one::<Identity>().says("Change the fields that are given"),
        get("/api/v1/tokens", Viewer, token::list).query::<token::TokenFilter>().list::<ApiToken>().says("API tokens"),
        post("/api/v1/tokens", Viewer, token::create).takes::<token::TokenForm>().creates::<token::NewToken>().secret().says("Make an API token"),
        delete("/api/v1/tokens/{id}", Viewer, token::revoke).says("Revoke an API token"),
    ]
}

/// The methods that a path takes.
pub fn methods(path: &str) -> Vec<String> {
    let is_of_path = |route: &Route| route.path == path || path.strip_suffix('/') == Some(route.path);
    let of_path = routes().into_iter().filter(is_of_path);
    of_path.map(|route| route.method.to_string()).collect()
}

/// The routes with everything around them, and health beside. A slash at the end of an address changes nothing.
pub fn router(api: Api, context: Context) -> Router {
    Router::new().fallback_service(NormalizePath::trim_trailing_slash(exact(api, context)))
}

fn exact(api: Api, context: Context) -> Router {
    let proxies = Proxies::new(&context.config.api);
    let mut router = Router::new();
    for route in routes() {
        let guard = from_fn_with_state((api.clone(), route.right), auth::authorize);
        let shed = from_fn_with_state((api.pressure.clone(), route.worth()), shed::stand);
        let mut handler = route.handler.route_layer(guard).route_layer(shed);
        if route.secret {
            handler = handler.route_layer(map_response(compressed::never));
        }
        router = router.route(route.path, handler);
    }
    router
        .fallback(nothing)
        .with_state(api)
        .layer(from_fn_with_state(Room::default(), room::give))
        .layer(from_fn_with_state(proxies, client::identify))
        .layer(from_fn(in_time))
        .layer(from_fn(headers::require_host))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(problem::finish))
        .layer(from_fn(request_id::assign))
        .layer(from_fn(measured))
        .layer(compressed::layer())
        .merge(health::router(context))
        .layer(from_fn(headers::secure))
}

/// Counts answers, by the pattern of the route: an address that leads nowhere is one more of `unmatched`.
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

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}

async fn in_time(request: Request, next: Next) -> Result<Response, Problem> {
    let path = request.uri().path();
    let limit = if path.starts_with(WEBHOOKS) {
        WEBHOOK
    } else if path.starts_with(EXECUTIONS) && request.uri().query().is_some_and(|query| query.contains("wait=")) {
        // One that waits for an end; the answer has to be on its way before this time is over.
        REQUEST + WAIT_MAX
    } else {
        REQUEST
    };
    // Dropped after the note: its connection goes back to a pool that knows already.
    let answer = pin!(next.run(request));
    let answered = tokio::time::timeout(limit, answer).await;
    answered.map_err(|_| {
        store::mark_unresponsive();
        Problem::late(limit)
    })
}
