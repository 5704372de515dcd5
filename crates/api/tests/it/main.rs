//! The API over a database of its own, asked as a client would ask.

mod bad_input;
mod definitions;
mod occurrences;
mod openapi;
mod rights;
mod served;
mod sign_in;
mod site;
