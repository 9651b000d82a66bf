//! `oaktap service`: installs `oaktap serve` as a service of systemd, and removes it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use oaktap::file::{NewFile, shell_word};

use crate::cli::camera_server::ServerArgs;
use crate::cli::fleet::configured_in;
use crate::cli::new_files::not_written;
use crate::cli::present::{self, Usage, advised};
use crate::cli::service_unit::{MARK, StateFolder, Unit};
use crate::cli::{Outcome, no_json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap service install --config oaktap.toml --dry-run
  sudo oaktap service install --config /etc/oaktap/oaktap.toml --http 0.0.0.0:8080 --token /etc/oaktap/token.txt
  sudo oaktap service install --config /etc/oaktap/oaktap.toml --rtsp 8554 --recordings /var/lib/oaktap
  sudo oaktap service remove";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = no_json_option())]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a unit that serves the cameras of a file from boot on
    #[command(arg = no_json_option())]
    Install(Box<InstallArgs>),
    /// Remove the unit
    #[command(arg = no_json_option())]
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
struct InstallArgs {
    /// Serve the cameras of this file
    #[arg(long, value_name = "oaktap.toml")]
    config: PathBuf,

    #[command(flatten)]
    server: ServerArgs,

    /// Print the unit and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    unit: UnitFile,
}

#[derive(Args, Debug)]
struct RemoveArgs {
    #[command(flatten)]
    unit: UnitFile,
}

#[derive(Args, Debug)]
struct UnitFile {
    /// File of the unit
    #[arg(long = "unit", value_name = "FILE", default_value = "/etc/systemd/system/oaktap.service")]
    path: PathBuf,
}

impl UnitFile {
    /// Returns whether the file exists. Refuses one that oaktap did not write.
    fn is_ours(&self) -> anyhow::Result<bool> {
        match fs::read(&self.path) {
            Ok(text) if text.starts_with(MARK.as_bytes()) => Ok(true),
            Ok(_) => {
                let error = anyhow::anyhow!("{} was not written by `oaktap service install`", self.path.display());
                Err(advised(error, "choose another file with --unit /etc/systemd/system/NAME.service"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(anyhow::Error::new(error).context(format!("cannot read {}", self.path.display()))),
        }
    }

    fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "oaktap.service".into(), |name| shell_word(Path::new(name)))
    }
}

pub(crate) fn run(args: &ServiceArgs) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::Install(args) => install(args),
        Action::Remove(args) => remove(args),
    }
}

/// Returns a path that does not depend on the current folder.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Checks a folder that the service writes to: systemd creates it for the user of the service, which it can only below /var/lib.
fn state_folder(path: &Path) -> anyhow::Result<StateFolder> {
    StateFolder::new(path).ok_or_else(|| {
        let text = format!("--recordings {}: the service can write only to folders below /var/lib", path.display());
        advised(
            Usage(text).into(),
            "use --recordings /var/lib/oaktap; another disk can be mounted at /var/lib/private/oaktap",
        )
    })
}

fn install(args: &InstallArgs) -> anyhow::Result<Outcome> {
    // Errors of these files would otherwise be those of a service that nobody watches.
    configured_in(Some(&args.config))?;
    let server = &args.server;
    server.read()?;
    let secrets = server.secrets().map(|(option, path)| Ok((option, absolute(path)?)));
    let unit = Unit {
        program: crate::cli::program_path().context("cannot find the program oaktap")?,
        config: absolute(&args.config)?,
        addresses: server.addresses().map(|(option, address)| (option, address.0)).collect(),
        host_names: server.host_names().to_vec(),
        secrets: secrets.collect::<anyhow::Result<_>>()?,
        recordings: server.recordings.as_deref().map(state_folder).transpose()?,
    };
    let text = unit.text().map_err(anyhow::Error::msg)?;
    if args.dry_run {
        present::result(text.as_bytes())?;
        return Ok(Outcome::Done);
    }
    let path = &args.unit.path;
    let replaces = args.unit.is_ours()?;
    let new = if replaces { NewFile::replace(path) } else { NewFile::create(path) };
    let written = new.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.finish()
    });
    written.map_err(|error| not_written(path, error))?;
    present::say(&format!("{} {}", if replaces { "replaced" } else { "wrote" }, path.display()));
    let name = args.unit.name();
    let start = if replaces { format!("restart {name}") } else { format!("enable --now {name}") };
    present::say(&format!("help: start it with `systemctl daemon-reload && systemctl {start}`"));
    Ok(Outcome::Done)
}

fn remove(args: &RemoveArgs) -> anyhow::Result<Outcome> {
    let path = &args.unit.path;
    if !args.unit.is_ours()? {
        anyhow::bail!("{} does not exist, so there is nothing to remove", path.display());
    }
    fs::remove_file(path).with_context(|| format!("cannot write {}: it cannot be removed", path.display()))?;
    present::say(&format!("removed {}", path.display()));
    let name = args.unit.name();
    present::say(&format!(
        "help: a service that runs ends with `systemctl disable --now {name}; systemctl daemon-reload`"
    ));
    Ok(Outcome::Done)
}
