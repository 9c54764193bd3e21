//! The client of Thrio against a scripted server: each row of the table in the API notes, and the
//! session's rules, over real sockets.

#[path = "thrio_client/answers.rs"]
mod answers;
#[path = "thrio_client/script.rs"]
mod script;
#[path = "thrio_client/secrecy.rs"]
mod secrecy;
#[path = "thrio_client/session.rs"]
mod session;
#[path = "thrio_client/simulated.rs"]
mod simulated;
#[path = "thrio_client/transport.rs"]
mod transport;
