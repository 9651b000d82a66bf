//! `oaktap build`: builds an application package.

use std::path::PathBuf;

use clap::Args;
use oaktap::device::contract::Contract;
use oaktap::file;
use oaktap::units::Bytes;
use serde::Serialize;

use crate::cli::application::{ApplicationArgs, ConfigFileArgs, PackageTarget, PackingArgs};
use crate::cli::{Ctx, Outcome, json_option, new_files, present};

const EXAMPLES: &str = "\
Examples:
  oaktap build -o app.dap --model yolov8n.blob --labels names.txt
  oaktap build -o app.dap --config oaktap.toml
  oaktap build -o app.dap --camera-only --payload jpeg

The application is that of --model or --camera-only, or of --config. It is packed together with the vendor's firmware for \
cameras, which is in the depthai wheel (`pip download --no-deps depthai==2.30.0.0`). `oaktap flash CAMERA --app FILE.dap` \
writes the package.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print path, size, SHA-256 and contract of the package as one line of JSON"))]
pub(crate) struct BuildArgs {
    /// Package to write, which must not exist
    #[arg(short, long, value_name = "FILE.dap")]
    output: PathBuf,

    #[command(flatten)]
    packing: PackingArgs,

    #[command(flatten)]
    file: ConfigFileArgs,

    #[command(flatten)]
    application: ApplicationArgs,
}

#[derive(Debug, Serialize)]
struct BuildReport {
    command: &'static str,
    path: PathBuf,
    bytes: usize,
    sha256: String,
    app_name: String,
    contract: Contract,
    firmware: String,
}

pub(crate) fn run(ctx: &Ctx, args: &BuildArgs) -> anyhow::Result<Outcome> {
    new_files::check_file(&args.output)?;
    let file = args.application.read(&args.file)?;
    let packed = args.packing.pack(&file, PackageTarget::Camera, file.cameras.len())?;
    file::write_new(&args.output, &packed.bytes).map_err(|error| new_files::not_written(&args.output, error))?;
    let report = BuildReport {
        command: ctx.command,
        path: args.output.clone(),
        bytes: packed.bytes.len(),
        sha256: present::sha256(&packed.bytes),
        app_name: packed.contract.to_string(),
        contract: packed.contract,
        firmware: packed.firmware,
    };
    if ctx.json {
        present::document(&report)?;
    } else {
        let BuildReport { path, bytes, app_name, .. } = &report;
        let text = format!("{}: {}, {app_name}\n", path.display(), Bytes(*bytes as u64));
        present::result(present::printable(&text).as_bytes())?;
    }
    Ok(Outcome::Done)
}
