//! The commands, one file or folder each.

mod backup;
mod bench;
mod bootloader;
mod build;
pub(super) mod completions;
mod control;
mod demo;
mod detections;
mod doctor;
mod erase;
mod export;
mod flash;
mod fleet;
mod info;
mod inspect;
mod list;
mod man;
mod network;
mod publish;
mod record;
mod recover;
pub(super) mod replay;
mod reset;
mod serve;
mod service;
mod simulate;
mod snapshot;
mod verify;
mod view;

use clap::Subcommand;

pub(super) use simulate::listener;

use super::{Ctx, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the cameras in all networks of this host
    List(list::ListArgs),
    /// List the receivers and cameras on a Zenoh bus
    Fleet(fleet::FleetCommandArgs),
    /// Find out why a camera is not found, not reachable or slow
    Doctor(doctor::DoctorArgs),
    /// Show the bootloader, memories, application and settings of cameras
    Info(info::InfoArgs),
    /// Build an application package
    Build(Box<build::BuildArgs>),
    /// Write an application to cameras, verify it, and wait until it runs
    Flash(Box<flash::FlashArgs>),
    /// Erase the application of cameras
    Erase(erase::EraseArgs),
    /// Reboot cameras and wait for their applications
    Reset(reset::ResetArgs),
    /// Boot the applications of cameras that wait in their bootloaders
    Boot(reset::ResetArgs),
    /// Show or change the network settings of cameras
    Network(network::NetworkArgs),
    /// Show or update the bootloader of cameras
    Bootloader(bootloader::BootloaderArgs),
    /// Save the applications and the settings of cameras to files
    Backup(backup::BackupArgs),
    /// Show cameras and their detections in a window
    View(view::ViewArgs),
    /// Show a simulated camera in a window
    Demo(demo::DemoArgs),
    /// Save pictures to PNG files and their metadata to JSON files
    Snapshot(snapshot::SnapshotArgs),
    /// Serve cameras to browsers and programs over HTTP
    Serve(serve::ServeArgs),
    /// Publish detections, states and pictures of cameras to an MQTT broker
    Publish(publish::PublishCommandArgs),
    /// Run `oaktap serve` as a service of systemd
    Service(service::ServiceArgs),
    /// Print the detections of each frame as one line of JSON
    Detections(detections::DetectionsArgs),
    /// Record cameras to MCAP files
    Record(record::RecordArgs),
    /// Show the contents of recordings and application packages
    Inspect(inspect::InspectArgs),
    /// Save the intact frames of an unfinished or damaged recording to a new file
    Recover(recover::RecoverArgs),
    /// Check the checksums, indexes and frames of recordings
    Verify(verify::VerifyArgs),
    /// Play a recording in a window, or serve it like a camera
    Replay(replay::ReplayArgs),
    /// Convert recordings to pictures, video, tables or training data
    Export(export::ExportArgs),
    /// Set the lens, exposure and white balance of streaming cameras
    Control(control::ControlArgs),
    /// Simulate cameras on real sockets
    Simulate(simulate::SimulateArgs),
    /// Measure how fast this machine receives, parses, converts and draws
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print a manual page
    Man(man::ManArgs),
}

impl Command {
    pub(crate) fn run(&self, ctx: &Ctx) -> anyhow::Result<Outcome> {
        match self {
            Self::List(args) => list::run(ctx, args),
            Self::Fleet(args) => fleet::run(ctx, args),
            Self::Doctor(args) => doctor::run(ctx, args),
            Self::Info(args) => info::run(ctx, args),
            Self::Build(args) => build::run(ctx, args),
            Self::Flash(args) => flash::run(ctx, args),
            Self::Erase(args) => erase::run(ctx, args),
            Self::Reset(args) => reset::reset(ctx, args),
            Self::Boot(args) => reset::boot(ctx, args),
            Self::Network(args) => network::run(ctx, args),
            Self::Bootloader(args) => bootloader::run(ctx, args),
            Self::Backup(args) => backup::run(ctx, args),
            Self::View(args) => view::run(ctx, args),
            Self::Demo(args) => demo::run(ctx, args),
            Self::Snapshot(args) => snapshot::run(ctx, args),
            Self::Serve(args) => serve::run(ctx, args),
            Self::Publish(args) => publish::run(ctx, args),
            Self::Service(args) => service::run(args),
            Self::Detections(args) => detections::run(ctx, args),
            Self::Record(args) => record::run(ctx, args),
            Self::Inspect(args) => inspect::run(ctx, args),
            Self::Recover(args) => recover::run(ctx, args),
            Self::Verify(args) => verify::run(ctx, args),
            Self::Replay(args) => replay::run(ctx, args),
            Self::Export(args) => export::run(ctx, args),
            Self::Control(args) => control::run(ctx, args),
            Self::Simulate(args) => simulate::run(ctx, args),
            Self::Bench(args) => bench::run(ctx, args),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args),
        }
    }
}
