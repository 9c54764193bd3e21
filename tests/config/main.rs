//! The configuration as an operator meets it: the shipped file against the code, every kind of
//! mistake with the exact text that it is answered with, secrets that stay secret, and `check`.

mod check;
mod damaged;
mod kinds;
mod mistakes;
mod reading;
mod secrets;
mod shipped;
mod site;
