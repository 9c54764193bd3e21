//! The page in a real Chromium, on the real program with a simulated Thrio: what an operator sees,
//! clicks and reads, at a desk and on a phone, by day and at night.
//!
//! Pictures of every view are left in `target/page-screenshots`: who changes the page looks at them.

mod browser;
mod changes;
mod demo;
mod hands;
mod setup;
mod site;
mod views;
