//! `oaktap completions`: prints a completion script.

use clap::{Arg, Args, Command, CommandFactory as _, ValueHint};
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
    clap_complete::generate(args.shell, &mut with_hints(Cli::command()), "oaktap", &mut script);
    present::result(&script)?;
    Ok(Outcome::Done)
}

/// Tells the shells which values are files or folders, by the names of the values.
pub(crate) fn with_hints(command: Command) -> Command {
    let hint = |argument: Arg| {
        let names =
            |kind: &str| argument.get_value_names().unwrap_or_default().iter().any(|name| name.as_str().contains(kind));
        let (files, folders) = (["FILE", "PATH", "oaktap.toml", "APPLICATION"].into_iter().any(names), names("DIR"));
        match (files, folders) {
            _ if names("PREFIX") => argument,
            (true, true) => argument.value_hint(ValueHint::AnyPath),
            (true, false) => argument.value_hint(ValueHint::FilePath),
            (false, true) => argument.value_hint(ValueHint::DirPath),
            (false, false) => argument,
        }
    };
    command.mut_args(hint).mut_subcommands(with_hints)
}
