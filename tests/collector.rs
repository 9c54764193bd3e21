//! The workers of the three feeds over a real store: what they journal, what they do when the
//! store fails, and how they are reached.

#[path = "collector/bench.rs"]
mod bench;
#[path = "collector/feeds.rs"]
mod feeds;
#[path = "collector/threads.rs"]
mod threads;
