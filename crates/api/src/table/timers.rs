//! Triggers and timers.

use crate::{
    auth::Right::{Editor, Operator, Viewer},
    route::{Route, delete, get, patch, post, put},
    routes::{calendar, event, rotate, timer, trigger},
};
use attune_common::store::timer_list;
use attune_domain::{occurrence::Event, timer::Zone};

pub fn triggers() -> Vec<Route> {
    let mut routes = trigger_definitions();
    routes.extend(trigger_operations());
    routes
}

fn trigger_definitions() -> Vec<Route> {
    vec![
        get("/api/v1/triggers", Viewer, trigger::list)
            .summary("List triggers")
            .description("Returns triggers in alphabetical order of their ref, one page at a time. Secrets are masked.")
            .query::<trigger::TriggerFilter>()
            .returns_list::<trigger::TriggerView>(),
        post("/api/v1/triggers", Editor, trigger::create)
            .summary("Create a trigger")
            .description(
                "Creates a timer, a webhook, a file watch or a custom trigger; `config` depends on `kind`. The answer of \
                 a webhook contains its address in `webhook_url`.",
            )
            .body::<trigger::TriggerForm>()
            .returns_created::<trigger::TriggerView>()
            .versioned()
            .returns_secret()
            .conflicts(),
        get("/api/v1/triggers/{ref}", Viewer, trigger::get)
            .summary("Get a trigger")
            .description(
                "Returns one trigger. The ETag header contains its version for If-Match. Secrets in `config` are masked; \
                 `webhook_url` is shown to operators and above.",
            )
            .returns::<trigger::TriggerView>()
            .versioned(),
        put("/api/v1/triggers/{ref}", Editor, trigger::update)
            .summary("Replace a trigger")
            .description(
                "Sets every field. A field that the body omits is reset to its default. The ref is immutable. A masked \
                 secret keeps its stored value.",
            )
            .replacement_body::<trigger::TriggerForm>()
            .returns::<trigger::TriggerView>()
            .returns_secret()
            .conditional(),
        patch("/api/v1/triggers/{ref}", Editor, trigger::update)
            .summary("Update a trigger")
            .description(
                "Changes the fields that the body contains and keeps the others. The ref is immutable. A masked secret \
                 keeps its stored value.",
            )
            .partial_body::<trigger::TriggerForm>()
            .returns::<trigger::TriggerView>()
            .returns_secret()
            .conditional(),
        delete("/api/v1/triggers/{ref}", Editor, trigger::delete)
            .summary("Delete a trigger")
            .description("The deletion is refused with 409 while a rule uses the trigger. Past events are retained.")
            .conditional(),
        post("/api/v1/triggers/{ref}/enable", Operator, trigger::enable)
            .summary("Enable a trigger")
            .description("A timer continues with its next occurrence: those that it skipped while disabled do not fire.")
            .returns::<trigger::TriggerView>()
            .versioned(),
        post("/api/v1/triggers/{ref}/disable", Operator, trigger::disable)
            .summary("Disable a trigger")
            .description("A timer stops firing and a webhook refuses requests with 409. The trigger can still be fired manually.")
            .returns::<trigger::TriggerView>()
            .versioned(),
    ]
}

fn trigger_operations() -> Vec<Route> {
    vec![
        post("/api/v1/triggers/{ref}/rotate-secret", Editor, rotate::rotate_secret)
            .summary("Rotate a webhook secret")
            .description(
                "Sets a new signing secret, or generates one that is shown only in this response. The previous secret \
                 remains valid for `overlap_seconds`.",
            )
            .body::<rotate::SecretRotation>()
            .returns::<rotate::RotatedSecret>()
            .returns_secret()
            .conditional(),
        post("/api/v1/triggers/{ref}/rotate-key", Editor, rotate::rotate_key)
            .summary("Rotate a webhook address")
            .description("Generates a new address for the webhook. The previous address remains valid for `overlap_seconds`.")
            .body::<rotate::KeyRotation>()
            .returns::<rotate::RotatedKey>()
            .returns_secret()
            .conditional(),
        post("/api/v1/triggers/{ref}/fire", Operator, event::fire)
            .summary("Fire a trigger manually")
            .description(
                "Creates an event of this trigger, even if the trigger is disabled. It does not affect the schedule of a \
                 timer. `payload` is merged into the payload that a timer would send.",
            )
            .body::<event::FireForm>()
            .returns_created::<Event>()
            .idempotent(),
        get("/api/v1/triggers/{ref}/occurrences", Viewer, timer::of_trigger)
            .summary("List upcoming occurrences of a timer")
            .description(
                "Computes when the timer will fire, after `from` (now by default) and before `to`. For a disabled \
                 timer, `paused` counts the occurrences that it has skipped.",
            )
            .query::<timer::OccurrenceFilter>()
            .returns::<timer::Occurrences>(),
    ]
}

pub fn timers() -> Vec<Route> {
    vec![
        get("/api/v1/timers/occurrences", Viewer, calendar::get)
            .summary("List occurrences of all timers")
            .description(
                "Returns what timers have done and will do in `[from, to)`: fired, late, missed and due occurrences in one \
                 list. `down` pretends an outage, and each due occurrence states what would become of it under the policy of \
                 its timer.",
            )
            .query::<calendar::CalendarFilter>()
            .returns::<calendar::Calendar>(),
        get("/api/v1/timezones", Viewer, timer::zones)
            .summary("List time zones")
            .description("Returns every time zone that a schedule accepts, with its offset and its next clock change.")
            .returns_list::<Zone>(),
        get("/api/v1/timers", Viewer, timer::list)
            .summary("List timers with their status")
            .description("Returns each timer with its next and last occurrence, its counters and its last error.")
            .query::<timer::TimerFilter>()
            .returns_list::<timer_list::Timer>(),
        post("/api/v1/timers/preview", Viewer, timer::preview)
            .summary("Preview a timer configuration")
            .description(
                "Computes when a configuration would fire, without saving it. A configuration that could not be saved is \
                 refused with 422.",
            )
            .body::<timer::PreviewForm>()
            .returns::<timer::Occurrences>(),
    ]
}
