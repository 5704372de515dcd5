//! Packs, runtimes, actions and rules.

use crate::{
    auth::Right::{Editor, Operator, Viewer},
    route::{Route, delete, get, patch, post, put},
    routes::{action, dry_run, pack, pack_files, rule, runtime},
};
use attune_domain::definition::{Action, FileEntry, Pack, Rule, Runtime};

pub fn packs() -> Vec<Route> {
    vec![
        get("/api/v1/packs", Viewer, pack::list)
            .summary("List packs")
            .description("Returns packs in alphabetical order of their ref, one page at a time.")
            .query::<pack::PackFilter>()
            .returns_list::<Pack>(),
        post("/api/v1/packs", Editor, pack::create)
            .summary("Create a pack, or apply its files")
            .description(
                "JSON creates an empty pack. Triggers, actions and rules name their pack in the first part of their ref. \
                 A .tar.gz or .zip archive of at most 64 MiB creates or updates a pack with all its definitions and \
                 files, in one transaction. What a person edited stays as it is and is listed under `skipped`. A pack has \
                 at most 10000 files with 128 MiB together, in folders at most 16 deep; links, absolute paths and `..` \
                 are refused with 422.",
            )
            .body::<pack::PackForm>()
            .or_archive::<pack_files::AppliedPack>()
            .query::<pack_files::Upload>()
            .returns_created::<Pack>()
            .versioned()
            .conflicts(),
        get("/api/v1/packs/{ref}", Viewer, pack::get)
            .summary("Get a pack")
            .description("Returns one pack. The ETag header contains its version for If-Match.")
            .returns::<Pack>()
            .versioned(),
        put("/api/v1/packs/{ref}", Editor, pack::update)
            .summary("Replace a pack")
            .description("Sets every field. A field that the body omits is reset to its default. The ref is immutable.")
            .replacement_body::<pack::PackForm>()
            .returns::<Pack>()
            .conditional(),
        patch("/api/v1/packs/{ref}", Editor, pack::update)
            .summary("Update a pack")
            .description("Changes the fields that the body contains and keeps the others. The ref is immutable.")
            .partial_body::<pack::PackForm>()
            .returns::<Pack>()
            .conditional(),
        delete("/api/v1/packs/{ref}", Editor, pack::delete)
            .summary("Delete a pack")
            .description(
                "A pack with definitions is only deleted with `cascade=true`, which deletes them as well. The deletion \
                 is refused with 409 while definitions of other packs use those of this pack.",
            )
            .query::<pack::Removal>()
            .conditional(),
        get("/api/v1/packs/{ref}/files", Viewer, pack_files::files)
            .summary("List the files of a pack")
            .description("Returns the files that the pack was last loaded from.")
            .returns_list::<FileEntry>()
            .conflicts(),
        get("/api/v1/packs/{ref}/archive", Viewer, pack_files::download)
            .summary("Download the files of a pack")
            .description("Returns the files that the pack was last loaded from, as a .tar.gz archive in their normal form.")
            .returns_text("application/gzip")
            .conflicts(),
        post("/api/v1/packs/{ref}/enable", Operator, pack::enable)
            .summary("Enable a pack")
            .description("The definitions of the pack take effect again, except those that are disabled themselves.")
            .returns::<Pack>()
            .versioned(),
        post("/api/v1/packs/{ref}/disable", Operator, pack::disable)
            .summary("Disable a pack")
            .description(
                "Stops the triggers, actions and rules of the pack from taking effect. Executions that have already \
                 been created still run.",
            )
            .returns::<Pack>()
            .versioned(),
    ]
}

pub fn runtimes() -> Vec<Route> {
    vec![
        get("/api/v1/runtimes", Viewer, runtime::list)
            .summary("List runtimes")
            .description("Returns the runtimes that actions can use. Packs define runtimes; the API only lists them.")
            .query::<runtime::RuntimeFilter>()
            .returns_list::<Runtime>(),
        get("/api/v1/runtimes/{ref}", Viewer, runtime::get)
            .summary("Get a runtime")
            .description("Returns one runtime: the kind, and the command that runs the actions that use it.")
            .returns::<Runtime>(),
    ]
}

pub fn actions() -> Vec<Route> {
    vec![
        get("/api/v1/actions", Viewer, action::list)
            .summary("List actions")
            .description("Returns actions in alphabetical order of their ref, one page at a time.")
            .query::<action::ActionFilter>()
            .returns_list::<Action>(),
        post("/api/v1/actions", Editor, action::create)
            .summary("Create an action")
            .description(
                "Creates something that rules and people can run: a script for a runtime, or a native action. Its \
                 parameters are validated against `parameters_schema`.",
            )
            .body::<action::ActionForm>()
            .returns_created::<Action>()
            .versioned()
            .conflicts(),
        get("/api/v1/actions/{ref}", Viewer, action::get)
            .summary("Get an action")
            .description("Returns one action. The ETag header contains its version for If-Match.")
            .returns::<Action>()
            .versioned(),
        put("/api/v1/actions/{ref}", Editor, action::update)
            .summary("Replace an action")
            .description(
                "Sets every field. A field that the body omits is reset to its default. The ref is immutable. `warnings` \
                 lists the rules whose parameters no longer fit.",
            )
            .replacement_body::<action::ActionForm>()
            .returns::<Action>()
            .conditional(),
        patch("/api/v1/actions/{ref}", Editor, action::update)
            .summary("Update an action")
            .description(
                "Changes the fields that the body contains and keeps the others. The ref is immutable. `warnings` lists \
                 the rules whose parameters no longer fit.",
            )
            .partial_body::<action::ActionForm>()
            .returns::<Action>()
            .conditional(),
        delete("/api/v1/actions/{ref}", Editor, action::delete)
            .summary("Delete an action")
            .description("The deletion is refused with 409 while a rule uses the action. Past executions are retained.")
            .conditional(),
    ]
}

pub fn rules() -> Vec<Route> {
    vec![
        get("/api/v1/rules", Viewer, rule::list)
            .summary("List rules")
            .description("Returns rules in alphabetical order of their ref, one page at a time.")
            .query::<rule::RuleFilter>()
            .returns_list::<Rule>(),
        post("/api/v1/rules", Editor, rule::create)
            .summary("Create a rule")
            .description(
                "Connects a trigger to an action. Name an existing trigger with `trigger_ref`, or define a timer inline \
                 with `trigger`: that timer belongs to the rule and is deleted with it. `on_failure` runs another action \
                 when an execution of the rule fails, as the rule `<ref>.on_failure`, which also belongs to it.",
            )
            .body::<rule::RuleForm>()
            .returns_created::<Rule>()
            .versioned()
            .conflicts(),
        get("/api/v1/rules/{ref}", Viewer, rule::get)
            .summary("Get a rule")
            .description("Returns one rule. The ETag header contains its version for If-Match.")
            .returns::<Rule>()
            .versioned(),
        put("/api/v1/rules/{ref}", Editor, rule::update)
            .summary("Replace a rule")
            .description("Sets every field. A field that the body omits is reset to its default. The ref is immutable.")
            .replacement_body::<rule::RuleForm>()
            .returns::<Rule>()
            .conditional()
            .conflicts(),
        patch("/api/v1/rules/{ref}", Editor, rule::update)
            .summary("Update a rule")
            .description(
                "Changes the fields that the body contains and keeps the others. The ref is immutable. Events that \
                 arrived before the change may be decided by the new version.",
            )
            .partial_body::<rule::RuleForm>()
            .returns::<Rule>()
            .conditional()
            .conflicts(),
        delete("/api/v1/rules/{ref}", Editor, rule::delete)
            .summary("Delete a rule")
            .description(
                "Also deletes the timer that the rule defines inline, and the rule of its `on_failure`. Past enforcements \
                 and executions are retained.",
            )
            .conditional()
            .conflicts(),
        post("/api/v1/rules/{ref}/enable", Operator, rule::enable)
            .summary("Enable a rule")
            .description("The rule applies to events that are decided from now on.")
            .returns::<Rule>()
            .versioned(),
        post("/api/v1/rules/{ref}/disable", Operator, rule::disable)
            .summary("Disable a rule")
            .description("The rule stops applying to events. Executions that have already been created still run.")
            .returns::<Rule>()
            .versioned(),
        post("/api/v1/rules/test", Viewer, dry_run::test)
            .summary("Test a rule")
            .description(
                "Evaluates a rule without writing or running anything. Name a saved rule, provide a condition and \
                 parameters, or both: what the body contains replaces the fields of the saved rule. The event is a \
                 stored one (`event_id`) or a sample (`payload`).",
            )
            .body::<dry_run::TestForm>()
            .returns::<dry_run::DryRun>()
            .low_priority(),
    ]
}
