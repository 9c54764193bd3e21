//! What a person and a monitoring system see: the page, the JSON API and the metrics.

mod options;

pub use options::ControlOptions;
