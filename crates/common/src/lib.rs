//! Everything shared that touches the outside.

pub mod bus;
#[cfg(feature = "testing")]
pub mod testing;
