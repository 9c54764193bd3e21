//! The control API as a script, a browser and an attacker meet it: a real daemon against the
//! simulated Thrio, asked over HTTP on loopback, held to `docs/openapi.yaml`.

mod changes;
mod contract;
mod expiry;
mod fuzz;
mod limits;
mod login;
mod monitoring;
mod reading;
mod settings;
mod site;
