//! Webhooks: the addresses that senders call, and the inbox of their requests.

use crate::{
    auth::Right::{Editor, Public},
    route::{Route, delete, get, patch, post, put},
    routes::{webhook, webhook_request},
};
use attune_domain::occurrence::Event;

const PATH: &str = "/api/v1/webhooks/{key}";
const SUMMARY: &str = "Call a webhook";
const DESCRIPTION: &str = "Creates an event from the request: JSON, a form, or text. The trigger decides which methods \
    are allowed and how the sender proves its identity. 202 means that the event is stored; 200 means that it is a \
    duplicate, or that the trigger waits and everything has ended.";

pub fn webhooks() -> Vec<Route> {
    let call = |route: Route| {
        let called = route.summary(SUMMARY).description(DESCRIPTION);
        called.returns_accepted::<webhook::Received>().conflicts()
    };
    vec![
        call(post(PATH, Public, webhook::receive)),
        call(put(PATH, Public, webhook::receive)),
        call(patch(PATH, Public, webhook::receive)),
        call(delete(PATH, Public, webhook::receive)),
        call(get(PATH, Public, webhook::receive)),
        get("/api/v1/webhook-requests", Editor, webhook_request::list)
            .summary("List webhook requests, newest first")
            .description(
                "Returns the requests that webhooks have received, including rejected ones with the reason. Headers \
                 that prove an identity are hidden.",
            )
            .query::<webhook_request::RequestFilter>()
            .returns_list::<webhook_request::WebhookRequest>()
            .low_priority(),
        get("/api/v1/webhook-requests/{id}", Editor, webhook_request::get)
            .summary("Get a webhook request")
            .description("Returns one stored request with its headers and body.")
            .returns::<webhook_request::WebhookRequest>(),
        post(
            "/api/v1/webhook-requests/{id}/redeliver",
            Editor,
            webhook_request::redeliver,
        )
        .summary("Redeliver a stored webhook request")
        .description(
            "Creates a new event from the stored request, whatever its verdict was. The signature is not verified \
                 again and duplicates are not detected.",
        )
        .empty_body()
        .returns_created::<Event>()
        .idempotent()
        .conflicts(),
    ]
}
