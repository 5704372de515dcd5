//! Sign-in, identities and API tokens.

use crate::{
    auth::Right::{Admin, Public, Viewer},
    route::{Route, delete, get, patch, post, put},
    routes::{auth, identity, sign_in as password, token, web},
};
use attune_domain::identity::{ApiToken, Identity};

/// Sessions of browsers.
pub fn web() -> Vec<Route> {
    vec![
        post("/auth/web/login", Public, web::login)
            .summary("Sign in a browser")
            .description(
                "Sets a session cookie that scripts cannot read. The cookie authenticates every route. Requests that change \
                 something must also have the header `X-Attune: 1` and come from a page of this site. Sign in again when a \
                 request is refused with 403 `step_up`.",
            )
            .body::<password::LoginForm>()
            .returns::<web::WebSession>(),
        post("/auth/web/link", Public, web::link)
            .summary("Sign in a browser with a link")
            .description(
                "Accepts the key of a link that `attune up` has printed. It works once, for 10 minutes, on the machine where \
                 Attune runs, or everywhere if `api.public_url` is configured. 401 states why it does not.",
            )
            .body::<web::LinkForm>()
            .returns::<web::WebSession>(),
        get("/auth/web/session", Viewer, web::session)
            .summary("Get the session of a browser")
            .description(
                "Returns the user, the routes that the user may call, and when the session ends. A session ends 12 hours \
                 after the last request without the header `X-Attune-Background: 1`, at the latest after 14 days.",
            )
            .returns::<web::WebSession>(),
        post("/auth/web/logout", Viewer, web::logout)
            .summary("Sign out a browser")
            .description("Ends the session and removes its cookie.")
            .empty_body()
            .conflicts(),
    ]
}

pub fn sign_in() -> Vec<Route> {
    vec![
        post("/auth/login", Public, auth::login)
            .summary("Sign in")
            .description(
                "Returns an access token for the Authorization header and a refresh token. The access token expires \
                 after `expires_in` seconds. Attempts are limited per account and per address: 429 states when to retry.",
            )
            .body::<password::LoginForm>()
            .returns::<auth::Tokens>()
            .returns_secret(),
        post("/auth/refresh", Public, auth::refresh)
            .summary("Exchange a refresh token for new tokens")
            .description(
                "A refresh token is valid once. Using it a second time ends the sign-in that it belongs to, because one \
                 of the two callers must have stolen it.",
            )
            .body::<auth::RefreshForm>()
            .returns::<auth::Tokens>()
            .returns_secret(),
        post("/auth/logout", Viewer, auth::logout)
            .summary("Sign out")
            .description(
                "Revokes the refresh token of this sign-in at once. Its access token expires within 5 seconds. An API \
                 token cannot sign out; revoke it instead.",
            )
            .empty_body()
            .conflicts(),
        get("/auth/me", Viewer, auth::me)
            .summary("Get the current identity")
            .description(
                "Returns the identity behind the token of this request. `role` is the effective role: an API token may \
                 have a lower role than its owner. `rights` are the routes that the caller may call.",
            )
            .returns::<auth::Me>(),
        put("/auth/password", Viewer, auth::password)
            .summary("Change your password")
            .description(
                "Ends every sign-in of the identity, including this one. API tokens remain valid unless `end_tokens` is \
                 true; the response lists those that do. An API token cannot change a password.",
            )
            .body::<auth::PasswordForm>()
            .returns::<auth::PasswordChanged>(),
    ]
}

pub fn identities() -> Vec<Route> {
    vec![
        get("/api/v1/identities", Admin, identity::list)
            .summary("List identities")
            .description("Returns identities in alphabetical order of their login, one page at a time.")
            .query::<identity::IdentityFilter>()
            .returns_list::<Identity>(),
        post("/api/v1/identities", Admin, identity::create)
            .summary("Create an identity")
            .description("The new identity can sign in with `login` and `password` immediately.")
            .body::<identity::IdentityForm>()
            .returns_created::<Identity>()
            .conflicts(),
        get("/api/v1/identities/{id}", Admin, identity::get)
            .summary("Get an identity")
            .description("Returns one identity by its number. A password is never returned.")
            .returns::<Identity>(),
        patch("/api/v1/identities/{id}", Admin, identity::update)
            .summary("Update an identity")
            .description(
                "Changes the fields that the body contains and keeps the others. Disabling an identity ends its \
                 sign-ins and API tokens within 5 seconds. The last enabled admin cannot be disabled or demoted, and \
                 admins cannot reduce their own rights.",
            )
            .partial_body::<identity::IdentityChange>()
            .returns::<Identity>()
            .conflicts(),
        get("/api/v1/tokens", Viewer, token::list)
            .summary("List API tokens")
            .description("Returns your own API tokens; an admin sees those of every identity. Secrets are not included.")
            .query::<token::TokenFilter>()
            .returns_list::<ApiToken>(),
        post("/api/v1/tokens", Viewer, token::create)
            .summary("Create an API token")
            .description(
                "Returns the secret of the token, which is never shown again. The role is at most your own. A token \
                 created with another API token expires no later than that token.",
            )
            .body::<token::TokenForm>()
            .returns_created::<token::NewToken>()
            .returns_secret(),
        delete("/api/v1/tokens/{id}", Viewer, token::revoke)
            .summary("Revoke an API token")
            .description(
                "Also revokes every token that was created with it. Both stop working within 5 seconds. An API token can \
                 only revoke tokens whose role does not exceed its own.",
            ),
    ]
}
