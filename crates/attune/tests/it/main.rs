//! The whole platform as people run it: the real programs, on a real PostgreSQL and a real RabbitMQ.

mod support;

mod actions;
mod embedded;
mod faults;
mod services;
mod surroundings;
