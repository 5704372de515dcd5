//! Everything shared that touches the outside.

pub mod bus;
