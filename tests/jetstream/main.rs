//! The JetStream destination on real servers. What is in a stream is counted by reading all of it.

#[path = "../support/authority.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod authority;
#[path = "../support/check.rs"]
mod check;
mod cluster;
mod credentials;
#[path = "../support/forwarding_box.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod forwarding_box;
#[path = "../support/nats_server.rs"]
mod nats_server;
#[path = "../destination_suite/records.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod records;
mod refused;
mod resume;
mod site;
mod stream;
mod tls;
