//! What the data are collected for: contact volume summed, and schedules compared with states.

pub mod adherence;
pub mod volume;
