//! oaktap: parse, log, run, exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    cli.log();
    match cli.run() {
        Ok(outcome) => outcome.into(),
        Err(error) => cli::present::failure(&error),
    }
}
