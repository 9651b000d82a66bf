//! `oaktap completions`: prints a completion script.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::{Cli, Outcome, no_json_option, present};

const EXAMPLES: &str = "\
Examples:
  oaktap completions bash > ~/.local/share/bash-completion/completions/oaktap
  oaktap completions fish > ~/.config/fish/completions/oaktap.fish";

#[derive(Args, Debug)]
#[command(arg = no_json_option(), after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "oaktap", &mut script);
    present::result(&script)?;
    Ok(Outcome::Done)
}
