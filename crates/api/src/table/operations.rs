//! Running Attune: the documentation, the queue, services, retention and the audit.

use crate::{
    auth::Right::{Admin, Operator, Public, Viewer},
    route::{Route, delete, get, post},
    routes::{attention, audit, docs, meta, queue, search, service},
};
use attune_common::store::{
    audit::AuditEntry, quarantine::Quarantined, search::Hit, service_instance::Service, upkeep::Retention,
};
use attune_domain::occurrence::Event;

pub fn documentation() -> Vec<Route> {
    vec![
        get("/", Public, docs::welcome)
            .summary("Get the entry point of the API")
            .description("Returns the version and the addresses of the documentation, sign-in, health and metrics. Browsers get the web UI.")
            .returns::<docs::Welcome>(),
        get("/api/v1/meta", Public, meta::get)
            .summary("Get facts about the installation")
            .description(
                "Returns versions, limits and the public address, without authentication. `ui_build` changes when the web UI \
                 changes.",
            )
            .returns::<meta::Meta>(),
        get("/api/v1/openapi.json", Public, docs::openapi_json)
            .summary("Get the OpenAPI document")
            .description("Returns this document, as JSON.")
            .returns_text("application/json"),
        get("/api/docs", Public, docs::page)
            .summary("Show the documentation page")
            .description("Returns an HTML page that shows this document: operations, parameters, examples, curl lines.")
            .returns_text("text/html"),
        get("/api/docs/docs.js", Public, docs::script)
            .summary("Get the script of the documentation page")
            .description("Returns the JavaScript that renders the documentation page.")
            .returns_text("text/javascript"),
        get("/api/docs/docs.css", Public, docs::style)
            .summary("Get the style of the documentation page")
            .description("Returns the style sheet of the documentation page.")
            .returns_text("text/css"),
    ]
}

pub fn operations() -> Vec<Route> {
    vec![
        get("/api/v1/attention", Viewer, attention::list)
            .summary("List what needs attention")
            .description(
                "Returns what is broken (`bad`) and what is worth checking (`warn`): timers, rules, webhooks, quarantined \
                 events, pools and services. Each item has a sentence, and a request that repairs it if there is one.",
            )
            .returns_list::<attention::Attention>(),
        get("/api/v1/search", Viewer, search::definitions)
            .summary("Search definitions")
            .description("Returns packs, triggers, actions and rules whose ref or label contains `q`, the best match first.")
            .query::<search::SearchFilter>()
            .returns_list::<Hit>(),
        get("/api/v1/resolve/{id}", Viewer, search::resolve)
            .summary("Find what an id belongs to")
            .description("Returns whether the id is that of an event, enforcement, execution or webhook request, and its trace.")
            .returns::<search::ResolvedView>(),
        get("/api/v1/queue", Viewer, queue::list)
            .summary("List quarantined events")
            .description("Returns events that failed to be decided repeatedly and wait for an operator.")
            .query::<queue::QueueFilter>()
            .returns_list::<Quarantined>(),
        post("/api/v1/queue/{id}/replay", Operator, queue::replay)
            .summary("Retry a quarantined event")
            .description("Puts the event back into the queue, so that an executor decides it again.")
            .returns::<Event>(),
        delete("/api/v1/queue/{id}", Operator, queue::discard)
            .summary("Discard a quarantined event")
            .description("Removes the event from the queue without deciding it. The event itself is retained."),
        get("/api/v1/services", Viewer, service::list)
            .summary("List services")
            .description("Returns every instance of a service that has sent a heartbeat recently, with its state.")
            .returns_list::<Service>(),
        get("/api/v1/workers", Viewer, service::workers)
            .summary("List workers")
            .description("Returns every worker instance with its pools, slots and running executions.")
            .returns_list::<Service>(),
        get("/api/v1/retention", Viewer, service::retention)
            .summary("List retention by table")
            .description("Returns how long the rows of each table are retained, and how many have been removed.")
            .returns_list::<Retention>(),
        get("/api/v1/audit", Admin, audit::list)
            .summary("List audit entries, newest first")
            .description("Returns who changed what and from which address, filtered by actor, verb, object and time.")
            .query::<audit::AuditFilter>()
            .returns_list::<AuditEntry>(),
    ]
}
