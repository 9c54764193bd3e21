//! A simulated contact centre, and a Thrio in front of it, for the demo and the tests.
//!
//! [`Centre`] is the truth: seeded, pure, to be asked about any moment. It shares no type with
//! `thrio` or `domain`, so that it can judge them. [`serve`] speaks the API over HTTP, with every
//! assumed thing of the API variable ([`Speech`]) and faults that can be switched on
//! ([`Fault`]).

mod centre;
mod connection;
mod draws;
mod faults;
mod question;
mod replay;
mod reply;
mod roster;
mod server;
mod session;
mod shape;
mod shifts;
mod speech;
mod volume;
mod wire;

pub use centre::{AgentChanged, AgentNow, Centre, QueueVolume, Roster};
pub use faults::{Behaviour, Fault, FaultKind, Route};
pub use replay::Replay;
pub use roster::{Queue, User};
pub use server::{Server, serve, serve_replay};
pub use shape::{Preset, Shape};
pub use shifts::State;
pub use speech::{
    Auth, ConfigurationSpeech, Envelope, HistoricalSpeech, List, LocationStyle, Names,
    RealtimeSpeech, Since, Speech, Times, Totals,
};
pub use volume::{QUARTER_HOUR_S, Volume};
