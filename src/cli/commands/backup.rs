//! `oaktap backup`: saves the applications and settings of cameras to files.

use std::path::{Path, PathBuf};

use clap::Args;
use oaktap::bootloader::{ClientError, Memory, SettingsError};
use oaktap::file;
use oaktap::flash::FoundApplication;
use oaktap::package::Package;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_ends::{CameraResult, Success};
use crate::cli::camera_label::CameraLabel;
use crate::cli::camera_session::file_stem;
use crate::cli::effect::Effect;
use crate::cli::present::{self, advised, camera_error, flash_error, printable, settings_error};
use crate::cli::{Ctx, Outcome, json_option, new_files};

const EXAMPLES: &str = "\
Examples:
  oaktap backup 192.168.1.50 -o saved/
  oaktap backup 14442C --yes
  oaktap backup --config oaktap.toml -o saved/

Files are named after the id of the camera. If it fails for one of several cameras, the others are saved all the same.

Exit codes: 0 saved; 1 failure, or nothing was saved; 2 wrong usage; 3 some of the cameras had nothing to save; 4 refused by the \
camera.";

const NOTHING: &str = "nothing to save: the camera has neither an application nor network settings";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the paths of the files as one line of JSON per camera"))]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,

    /// Folder for the files
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

#[derive(Serialize)]
struct BackupReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    /// One package per memory that contains an application.
    applications: Vec<PathBuf>,
    /// `null`: the camera has no settings and uses its defaults.
    settings: Option<PathBuf>,
    /// Why nothing was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// The backup of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    Files,
    Nothing,
}

impl CameraResult for Saved {
    fn success(&self) -> Success {
        match self {
            Self::Files => Success::Done,
            Self::Nothing => Success::NothingToSave,
        }
    }
}

/// Applications by memory, and the settings.
type CameraContents = (Vec<(Memory, Vec<u8>)>, Result<Option<serde_json::Value>, SettingsError>);

/// Reads the camera. Before it reads megabytes, checks that the folder has room for the files.
async fn read(caller: oaktap::bootloader::Caller, folder: PathBuf) -> anyhow::Result<CameraContents> {
    let found = FoundApplication::all(&caller).await.map_err(flash_error)?;
    // The settings are in the least size that the check asks for.
    new_files::check_space(&folder, "backups", found.iter().map(|one| u64::from(one.bytes())).sum())
        .map_err(|error| advised(error, "nothing was read or changed; give another folder with -o"))?;
    let mut applications = Vec::new();
    for application in found {
        let memory = application.memory();
        applications.push((memory, application.read(&caller).await.map_err(flash_error)?));
    }
    let settings = caller.settings().await;
    Ok((applications, settings.map(|settings| settings.map(|config| config.document().to_json()))))
}

pub(crate) fn run(ctx: &Ctx, args: &BackupArgs) -> anyhow::Result<Outcome> {
    // Before the camera leaves its application and sends megabytes.
    new_files::check_folder(&args.output, "backups")?;
    let effect = Effect::querying("reading the memories");
    let check = |turn: &Turn<'_>| check_new(&args.output, turn.label().id_or_given());
    let saved = args.fleet.fleet(&effect)?.each_checked(ctx, &effect, check, |turn| save(ctx, &args.output, turn))?;
    match saved.iter().filter(|saved| **saved == Saved::Nothing).count() {
        0 => Ok(Outcome::Done),
        nothing if nothing < saved.len() => {
            present::always_say(&format!("{nothing} of {} cameras had nothing to save", saved.len()));
            Ok(Outcome::Lossy)
        }
        _ => Err(advised(
            anyhow::anyhow!("nothing was saved"),
            "a camera without an application needs no backup; `oaktap flash CAMERA --app app.dap` writes one",
        )),
    }
}

fn save(ctx: &Ctx, folder: &Path, turn: &Turn<'_>) -> anyhow::Result<Saved> {
    let (entered, (applications, settings)) = runtime()?.block_on(async {
        let entered = turn.enter(ctx).await?;
        let folder = folder.to_owned();
        let read = entered.talk(async move |caller| read(caller, folder).await).await??;
        anyhow::Ok((entered, read))
    })?;
    if let Err(SettingsError::Camera(error @ ClientError::Stopped(_))) = settings {
        return Err(camera_error(error));
    }
    let stem = entered.file_stem()?;
    let (command, label) = (ctx.command, entered.label.clone());
    let mut report = BackupReport { command, label, applications: Vec::new(), settings: None, error: None };
    let mut damaged = Vec::new();
    for (memory, bytes) in applications {
        let path = package_path(folder, stem, memory);
        write_new(&path, &bytes)?;
        if let Err(error) = Package::parse(bytes) {
            damaged.push(format!("{}: {error}", path.display()));
        }
        report.applications.push(path);
    }
    if let Some(settings) = settings.map_err(settings_error)? {
        let path = settings_path(folder, stem);
        write_new(&path, (serde_json::to_string_pretty(&settings)? + "\n").as_bytes())?;
        report.settings = Some(path);
    }
    let saved = if report.applications.is_empty() && report.settings.is_none() { Saved::Nothing } else { Saved::Files };
    report.error = (saved == Saved::Nothing).then_some(NOTHING);
    if ctx.json {
        present::document(&report)?;
    } else {
        let paths = report.applications.iter().chain(&report.settings);
        let text: String = paths.map(|path| format!("{}\n", path.display())).collect();
        present::result(printable(&text).as_bytes())?;
    }
    if saved == Saved::Nothing {
        present::always_say(&format!("{}: {NOTHING}", report.label));
    } else if report.applications.is_empty() {
        present::say(&format!("{}: no application found", report.label));
    }
    if damaged.is_empty() {
        return Ok(saved);
    }
    let error = anyhow::anyhow!("the application is damaged; it was saved anyway: {}", damaged.join("; "));
    Err(advised(error, "`oaktap inspect FILE.dap` shows the intact parts; `oaktap flash` rejects the file"))
}

/// Checks each file that may be written.
fn check_new(folder: &Path, id: &str) -> anyhow::Result<()> {
    let stem = file_stem(id)?;
    let packages = [Memory::Flash, Memory::Emmc].map(|memory| package_path(folder, stem, memory));
    packages
        .iter()
        .chain([&settings_path(folder, stem)])
        .try_for_each(|path| new_files::check_file(path).map_err(|error| of_folder(path, error)))
}

fn package_path(folder: &Path, stem: &str, memory: Memory) -> PathBuf {
    folder.join(format!("{stem}.{memory}.dap"))
}

fn settings_path(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.config.json"))
}

/// Fails if the file exists.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    file::write_new(path, bytes).map_err(|error| of_folder(path, new_files::not_written(path, error)))
}

/// Replaces the help of a file that exists: its name follows from the camera.
fn of_folder(path: &Path, error: anyhow::Error) -> anyhow::Error {
    if path.symlink_metadata().is_err() {
        return error;
    }
    let help = "oaktap does not replace files: give another folder with -o, or remove it";
    advised(anyhow::anyhow!("{} already exists", path.display()), help)
}
