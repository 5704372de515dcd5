//! `attune`: everything in one process (`attune up`), and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    attune::main()
}
