//! `oaktap backup`: application and configuration out of a camera, into files that `flash` and `network` accept.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::bootloader::{Memory, SettingsError};
use oaktap::flash::{FlashError, read_applications};
use oaktap::package::Package;
use serde::Serialize;

use crate::cli::camera_arg::runtime;
use crate::cli::camera_session::EnterArgs;

use crate::cli::present::{self, advised, flash_error, printable, settings_error};
use crate::cli::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    enter: EnterArgs,

    /// The folder for the files; the current one by default
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

#[derive(Default, Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    /// One for each memory with an application.
    applications: Vec<PathBuf>,
    /// `null`: the camera has none and uses its defaults.
    configuration: Option<PathBuf>,
}

type Read = (Vec<(Memory, Vec<u8>)>, Result<Option<serde_json::Value>, SettingsError>);

async fn read(caller: oaktap::bootloader::Caller) -> Result<Read, FlashError> {
    let applications = read_applications(&caller).await?;
    let settings = caller.settings().await;
    Ok((applications, settings.map(|settings| settings.map(|config| config.document().to_json()))))
}

/// Reads, and writes files that were not there.
pub(crate) fn run(ctx: &Ctx, args: &BackupArgs) -> anyhow::Result<Outcome> {
    let (entered, (applications, settings)) = runtime()?.block_on(async {
        let entered = args.enter.enter("to be read, a camera enters its bootloader").await?;
        let read = entered.talk(read).await?.map_err(flash_error)?;
        anyhow::Ok((entered, read))
    })?;
    std::fs::create_dir_all(&args.output).with_context(|| format!("{} cannot be made", args.output.display()))?;
    let mut document = Document { command: "backup", camera: entered.camera.id, ..Document::default() };
    let mut damaged = Vec::new();
    for (memory, bytes) in applications {
        let path = args.output.join(format!("{}.{memory}.dap", document.camera));
        write_new(&path, &bytes)?;
        if let Err(error) = Package::parse(bytes) {
            damaged.push(format!("{}: {error}", path.display()));
        }
        document.applications.push(path);
    }
    if let Some(settings) = settings.map_err(settings_error)? {
        let path = args.output.join(format!("{}.config.json", document.camera));
        write_new(&path, (serde_json::to_string_pretty(&settings)? + "\n").as_bytes())?;
        document.configuration = Some(path);
    }
    if ctx.json {
        present::document(&document)?;
    } else {
        let paths = document.applications.iter().chain(&document.configuration);
        let text: String = paths.map(|path| format!("{}\n", path.display())).collect();
        present::result(printable(&text).as_bytes())?;
    }
    if document.applications.is_empty() {
        present::say(&format!("{}: there is no application in it", document.camera));
    }
    if damaged.is_empty() {
        return Ok(Outcome::Done);
    }
    let error = anyhow::anyhow!("what is in the camera is damaged; it was saved as it is: {}", damaged.join("; "));
    Err(advised(error, "`oaktap inspect FILE.dap` shows what is whole; `oaktap flash` does not accept it"))
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    let file = std::fs::File::create_new(path);
    file.and_then(|mut file| file.write_all(bytes)).with_context(|| format!("{} cannot be written", path.display()))
}
