//! `oaktap build`: an application into a package, to be flashed later or elsewhere.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::device::contract::Contract;
use serde::Serialize;

use crate::cli::application::ApplicationArgs;
use crate::cli::application::packing::{For, PackingArgs};
use crate::cli::{Ctx, Outcome, present};

#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Where the package is written to
    #[arg(short, long, value_name = "FILE.dap")]
    output: PathBuf,

    #[command(flatten)]
    packing: PackingArgs,

    #[command(flatten)]
    application: ApplicationArgs,
}

/// What was built.
#[derive(Debug, Serialize)]
struct Built {
    command: &'static str,
    path: PathBuf,
    bytes: usize,
    sha256: String,
    app_name: String,
    contract: Contract,
    firmware: String,
}

/// Builds it.
pub(crate) fn run(ctx: &Ctx, args: &BuildArgs) -> anyhow::Result<Outcome> {
    let file = args.application.read()?;
    let packed = args.packing.pack(&file, For::Camera)?;
    write(&args.output, &packed.bytes).with_context(|| format!("{} cannot be written", args.output.display()))?;
    let built = Built {
        command: "build",
        path: args.output.clone(),
        bytes: packed.bytes.len(),
        sha256: present::sha256(&packed.bytes),
        app_name: packed.contract.to_string(),
        contract: packed.contract,
        firmware: packed.firmware,
    };
    if ctx.json {
        present::document(&built)?;
    } else {
        let Built { path, bytes, app_name, .. } = &built;
        let text = format!("{}: {:.1} MB, {app_name}\n", path.display(), *bytes as f64 / 1e6);
        present::result(present::printable(&text).as_bytes())?;
    }
    Ok(Outcome::Done)
}

/// All of it or nothing: what was there stays until then.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".partial");
    let written = std::fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        std::fs::rename(&part, path)
    });
    written.inspect_err(|_| {
        // If it cannot be removed either, its name says what it is.
        let _ = std::fs::remove_file(&part);
    })
}
