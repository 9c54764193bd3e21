//! Scenarios of the historical feed under virtual time.

mod failures;
mod manual;
mod property;
mod rig;
mod runs;
