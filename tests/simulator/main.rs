//! The simulated contact centre keeps to the load model, and its server to the API.
#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a test are far below 2^52"
)]

mod demo;
mod load_model;
mod server;

const DAY_S: i64 = 86_400;
const HOUR_S: i64 = 3_600;
/// Monday 2026-03-02, 00:00 UTC.
const MONDAY_S: i64 = 1_772_409_600;
