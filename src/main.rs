//! The program `thrio-edge`: everything lies in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    thrio_edge::cli::main().into()
}
