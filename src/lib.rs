//! `thrio-edge`: collects contact volume, agent states, queues and agents from Thrio, journals
//! them durably and delivers them upstream. See ARCHITECTURE.md for the way of the data.

pub mod alarm;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod config;
pub mod control;
pub mod daemon;
pub mod destination;
pub mod domain;
pub mod forwarder;
pub mod lifecycle;
pub mod receive;
pub mod simulator;
pub mod stop;
pub mod store;
pub mod thrio;
pub mod transport;
