//! The whole platform for a test: the real programs on real servers, each with its own ports and folders. All processes
//! of a test end with it, even if it is killed. If it fails, the logs of its programs are shown.

pub mod api;
pub mod definitions;
pub mod deployment;
pub mod effects;
pub mod embedded;
pub mod facts;
pub mod load;
pub mod process;
pub mod services;
pub mod small_disk;
pub mod surroundings;
pub mod tree;

pub use api::Api;
pub use process::Process;
