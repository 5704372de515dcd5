//! The whole platform as people run it: the real programs, on a real PostgreSQL and a real RabbitMQ.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod support;

mod actions;
mod bench;
mod embedded;
mod faults;
mod house;
mod ledger;
mod quickstart;
mod quickstart_demo;
mod services;
mod surroundings;
mod timer_preview;
mod webhooks;
