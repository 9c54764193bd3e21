//! Alarms: the machine by scenarios and by chance, the catalogue against handbook and code, the
//! worker against a real receiver and real programs. The whole box as a process is in
//! `tests/daemon/alarms.rs`.

mod catalogue;
mod chance;
mod machine;
#[path = "../support/receiver.rs"]
mod receiver;
mod rig;
mod telling;
