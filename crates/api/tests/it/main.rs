//! The API on its own database, called as a client would call it.
#![expect(clippy::expect_used, reason = "a test that cannot continue fails")]
#![expect(clippy::needless_pass_by_value, reason = "JSON literals are passed by value")]

mod addresses;
mod advice;
mod answers;
mod bad_input;
mod bodies;
mod client_address;
mod contract;
mod corpus;
mod crowd;
mod definitions;
mod drip;
mod early;
mod explain;
mod expressions;
mod failures;
mod filters;
mod fitting;
mod github;
mod headers;
mod hook;
mod lists;
mod lockout;
mod logs;
mod mistakes;
mod occurrences;
mod openapi;
mod operations;
mod policies;
mod quota;
mod reverse_proxy;
mod rights;
mod served;
mod sign_in;
mod slow;
mod snapshots;
mod stream;
mod test_api;
mod tokens;
mod wait;
mod webhook;
mod webhook_bodies;
mod webhook_identity;
mod webhook_inbox;
mod webhook_keys;
