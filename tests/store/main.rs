//! The store as its callers see it: real redb files, and the same code on a simulated disk.

mod core;
mod damage;
mod golden;
mod power;
mod room;
mod support;
mod upgrade;
