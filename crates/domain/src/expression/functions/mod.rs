//! The filters, tests and methods that expressions have: those whose result is bounded by their input, written here so
//! that each bound can be seen.

mod advice;
mod convert;
mod digits;
mod item;
mod list;
mod lookup;
mod pattern;
mod select;
mod table;
mod test;
mod text;

pub use lookup::find;
