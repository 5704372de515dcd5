//! Real servers for tests (cargo feature `testing`). Whatever is started here dies with the test.

pub mod rabbitmq;

mod guarded;
