//! Secrets and values.

use crate::{
    auth::Right::{Editor, Viewer},
    route::{Route, delete, get, post, put},
    routes::{secret, value},
};
use attune_common::store::{pack_value::PackValue, secret::Secret};

pub fn secrets() -> Vec<Route> {
    vec![
        get("/api/v1/secrets", Viewer, secret::list)
            .summary("List secrets")
            .description(
                "Returns the metadata of secrets in alphabetical order of their ref, one page at a time. No route returns \
                 the value of a secret.",
            )
            .query::<secret::SecretFilter>()
            .returns_list::<Secret>(),
        get("/api/v1/secrets/{ref}", Viewer, secret::get)
            .summary("Get the metadata of a secret")
            .description("Returns its version, who set it, its grants, when it was last used, and the rules and actions that name it.")
            .returns::<Secret>(),
        put("/api/v1/secrets/{ref}", Editor, secret::set)
            .summary("Set a secret")
            .description(
                "Creates the secret or gives it a new value, which has the next version. Attempts that start from now on \
                 use it. A new secret is granted to its own pack and to the pool `default`.",
            )
            .body::<secret::SecretForm>()
            .returns::<Secret>()
            .conflicts(),
        put("/api/v1/secrets/{ref}/grants", Editor, secret::grant)
            .summary("Grant a secret")
            .description(
                "Replaces the pools whose workers can open the secret, and the packs and actions that may use it. What the \
                 body omits is unchanged.",
            )
            .body::<secret::GrantForm>()
            .returns::<Secret>()
            .conflicts(),
        delete("/api/v1/secrets/{ref}", Editor, secret::delete)
            .summary("Delete a secret")
            .description("Attempts that would use the secret fail from now on."),
    ]
}

pub fn values() -> Vec<Route> {
    vec![
        get("/api/v1/values", Viewer, value::list)
            .summary("List values")
            .description("Returns values in alphabetical order of their ref, one page at a time.")
            .query::<value::ValueFilter>()
            .returns_list::<PackValue>(),
        get("/api/v1/values/{ref}", Viewer, value::get)
            .summary("Get a value")
            .description("Returns the value with its version. An expired value does not exist.")
            .returns::<PackValue>(),
        put("/api/v1/values/{ref}", Editor, value::set)
            .summary("Set a value")
            .description(
                "Creates or replaces the value. With `version`, only if the value still has this version (0: does not \
                 exist yet); otherwise the answer is 409.",
            )
            .body::<value::ValueForm>()
            .returns::<PackValue>()
            .conflicts(),
        post("/api/v1/values/{ref}/increment", Editor, value::increment)
            .summary("Increment a value")
            .description("Adds to a whole number, which is 0 if the value does not exist, and returns the result.")
            .body::<value::IncrementForm>()
            .returns::<PackValue>()
            .conflicts(),
        delete("/api/v1/values/{ref}", Editor, value::delete)
            .summary("Delete a value")
            .description("With `version`, only if the value still has this version; otherwise the answer is 409.")
            .query::<value::DeleteFilter>()
            .conflicts(),
    ]
}
