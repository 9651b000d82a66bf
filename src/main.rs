//! The `oaktap` program.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::from_command_line();
    cli.log();
    match cli.run() {
        Ok(outcome) => outcome.into(),
        Err(error) => cli::present::failure(&error, cli.command_name(), cli.prints_json()),
    }
}
