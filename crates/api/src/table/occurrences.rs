//! What happened: events, enforcements, executions, and the stream of changes.

use crate::{
    auth::Right::{Operator, Viewer},
    route::{Route, get, post},
    routes::{attempt, enforcement, event, event_batch, execution, execution_start, explain, log, stream, trace},
};
use attune_domain::occurrence::{Attempt, Enforcement, Event, Execution, ExecutionSummary};

pub fn events() -> Vec<Route> {
    vec![
        get("/api/v1/events", Viewer, event::list)
            .summary("List events, newest first")
            .description("Returns events one page at a time, filtered by trigger, source, status and time.")
            .query::<event::EventFilter>()
            .returns_list::<Event>()
            .low_priority(),
        post("/api/v1/events", Operator, event::create)
            .summary("Create an event")
            .description(
                "Creates an event of an enabled trigger. With a `dedup_key`, a repeated request within the window of the \
                 trigger returns the first event with 200.",
            )
            .body::<event::EventForm>()
            .returns_created::<Event>()
            .idempotent()
            .conflicts(),
        post("/api/v1/events/batch", Operator, event_batch::create)
            .summary("Create up to 1,000 events")
            .description(
                "Takes a JSON array or NDJSON of at most 4 MiB. Every item has an outcome of its own, in the order of the items; \
                 all that are accepted are committed together. A refused item does not affect the others.",
            )
            .bodies::<event::EventForm>()
            .returns::<event_batch::EventBatch>()
            .idempotent(),
        get("/api/v1/events/{id}", Viewer, event::get)
            .summary("Get an event")
            .description("Returns one event with its payload and status.")
            .returns::<Event>(),
        get("/api/v1/events/{id}/explain", Viewer, explain::event)
            .summary("Explain how each rule evaluated an event")
            .description(
                "Returns for each rule of the trigger whether it matched, or the clause of its condition that did not \
                 hold. A decided event is explained with the rules as they were at that time, a pending one with the \
                 current rules.",
            )
            .query::<explain::ExplainFilter>()
            .returns::<explain::Explanation>()
            .low_priority(),
        get("/api/v1/traces/{id}", Viewer, trace::get)
            .summary("Get a trace")
            .description(
                "Returns everything with the same `trace_id` as the given event or execution: the event, its \
                 enforcements, and their executions including reruns.",
            )
            .query::<trace::TraceFilter>()
            .returns::<trace::Chain>()
            .low_priority(),
        get("/api/v1/enforcements", Viewer, enforcement::list)
            .summary("List enforcements, newest first")
            .description("An enforcement records that a rule matched an event, and whether an execution was created.")
            .query::<enforcement::EnforcementFilter>()
            .returns_list::<Enforcement>()
            .low_priority(),
        get("/api/v1/enforcements/{id}", Viewer, enforcement::get)
            .summary("Get an enforcement")
            .description("Returns one enforcement with the parameters that the rule computed.")
            .returns::<Enforcement>(),
    ]
}

pub fn executions() -> Vec<Route> {
    vec![
        get("/api/v1/executions", Viewer, execution::list)
            .summary("List executions, newest first")
            .description(
                "Returns executions one page at a time, filtered by rule, action, event, status and time. \
                 `view=summary` omits results and long parameters.",
            )
            .query::<execution::ExecutionFilter>()
            .returns_list::<ExecutionSummary>()
            .low_priority(),
        post("/api/v1/executions", Operator, execution_start::create)
            .summary("Run an action")
            .description(
                "Creates an execution of an enabled action. With `wait`, the request waits for its end: 201 if the \
                 execution has ended, 202 if it is still running.",
            )
            .body::<execution_start::ExecutionForm>()
            .returns_created::<Execution>()
            .idempotent()
            .query::<execution_start::WaitFilter>()
            .conflicts(),
        get("/api/v1/executions/{id}", Viewer, execution::get)
            .summary("Get an execution")
            .description(
                "Returns one execution with its parameters and result. `waiting` states why it has not started.",
            )
            .returns::<execution::ExecutionView>(),
        get("/api/v1/executions/{id}/attempts", Viewer, attempt::list)
            .summary("List attempts of an execution")
            .description("Returns every attempt, oldest first: which worker ran it, when, and how it ended.")
            .returns_list::<Attempt>(),
        get("/api/v1/executions/{id}/logs", Viewer, log::get)
            .summary("Get execution logs")
            .description(
                "Returns what the action has written to standard output and standard error. Pass `next` as `after` to \
                 read on; with `follow`, the request waits up to 8 seconds for new output. With `Accept: text/plain`, the \
                 response is the text alone, as a file.",
            )
            .query::<log::LogFilter>()
            .returns::<log::Logs>()
            .or_text(),
        post("/api/v1/executions/{id}/cancel", Operator, execution::cancel)
            .summary("Cancel an execution")
            .description(
                "An execution that has not started never starts. A running one is terminated by its worker and changes \
                 from `canceling` to `canceled`. One that has ended is refused with 409.",
            )
            .empty_body()
            .returns::<Execution>()
            .conflicts(),
        post("/api/v1/executions/{id}/rerun", Operator, execution_start::rerun)
            .summary("Rerun an execution")
            .description(
                "Creates a new execution of the same action with the same parameters. The original must have ended. \
                 `wait` works as in \"Run an action\".",
            )
            .empty_body()
            .returns_created::<Execution>()
            .idempotent()
            .query::<execution_start::WaitFilter>()
            .conflicts(),
        get("/api/v1/stream", Viewer, stream::live)
            .summary("Stream changes as server-sent events")
            .description(
                "Sends each change at least once; changes of one trace may arrive in any order. After a disconnect, \
                 send the last event id in Last-Event-ID to receive what you missed within the last 5 minutes.",
            )
            .query::<stream::StreamFilter>()
            .returns_text("text/event-stream"),
    ]
}
