//! Serving and publishing beside the own work of a command.

use clap::Args;
use oaktap::live::Camera;
use oaktap::overlay::Style;
use oaktap::sink::record::RecordersMonitor;
use oaktap::source::Session;

use super::camera_server::{CameraServer, ServeBesideArgs, ServedViewers};
use super::present::Usage;
use super::publisher::{PublishBesideArgs, Published, Publisher};
use super::{Ctx, Outcome, present};

/// Options of a command that can serve and publish beside its own work.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BesideArgs {
    #[command(flatten)]
    serve: ServeBesideArgs,

    #[command(flatten)]
    publish: PublishBesideArgs,
}

impl BesideArgs {
    /// Opens the socket of the server, if the command serves.
    pub(crate) fn open(&self, style: &Style) -> anyhow::Result<Beside> {
        Ok(Beside { server: self.serve.open(style.clone())?, publisher: self.publish.open(style.clone())? })
    }

    /// Refuses both for a folder of recordings.
    pub(crate) fn refuse_for_folder(&self) -> anyhow::Result<()> {
        let (option, help) = if self.serve.is_given() {
            ("--serve", "`oaktap serve DIR` serves its recordings")
        } else if self.publish.is_given() {
            ("--publish", "`oaktap publish DIR --to TARGET` publishes its recordings")
        } else {
            return Ok(());
        };
        let error = Usage(format!("{option} is not for a folder of recordings"));
        Err(present::advised(error.into(), help))
    }
}

/// A server and a publisher of the cameras, if the user wants them.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    server: Option<CameraServer>,
    publisher: Option<Publisher>,
}

impl Beside {
    /// Subscribes to the cameras, before their sessions start. `recorders`: recordings that the program makes of them.
    pub(crate) fn connect(&mut self, cameras: &[Camera], recorders: RecordersMonitor) -> anyhow::Result<()> {
        self.server.as_mut().map(|server| server.connect(cameras, Some(recorders.clone()))).transpose()?;
        if let Some(publisher) = &mut self.publisher {
            publisher.show_recordings(recorders, None);
            publisher.connect(cameras)?;
        }
        Ok(())
    }

    /// Begins to serve and to publish.
    pub(crate) fn start(&mut self, sessions: &[Session]) -> anyhow::Result<()> {
        self.server.as_mut().map(|server| server.start(sessions, Vec::new())).transpose()?;
        self.publisher.as_mut().map(|publisher| publisher.start(sessions)).transpose()?;
        Ok(())
    }

    /// Ends all connections, and prints the counts. Call it after the sessions were stopped.
    pub(crate) fn finish(self) -> BesideEnd {
        let published = self.publisher.map(Publisher::finish);
        BesideEnd { viewers: self.server.map(CameraServer::finish), published }
    }
}

/// Counts of what was served and published.
#[derive(Debug)]
pub(crate) struct BesideEnd {
    viewers: Option<ServedViewers>,
    published: Option<Published>,
}

impl BesideEnd {
    /// Prints the counts as lines of JSON with `--json`.
    pub(crate) fn print(&self, ctx: &Ctx) -> anyhow::Result<()> {
        self.viewers.as_ref().map(|viewers| viewers.print(ctx)).transpose()?;
        self.published.as_ref().map(|published| published.print(ctx)).transpose()?;
        Ok(())
    }

    /// Returns the outcome of a command that has ended with this one.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        self.published.as_ref().map_or(outcome, |published| published.outcome(outcome))
    }
}
