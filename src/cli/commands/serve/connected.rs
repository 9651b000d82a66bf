//! The cameras of `oaktap serve`, which stay connected when others are added or removed.

use std::time::Duration;

use oaktap::live;
use oaktap::serve::{CameraViewers, KeptCamera};
use oaktap::sink::record::RecordersMonitor;
use oaktap::source::{NamedSource, Session};
use tokio::runtime::Handle;

use super::ServeArgs;
use crate::cli::camera_server::CameraServer;
use crate::cli::commands::view::over;
use crate::cli::present;
use crate::cli::publisher::Publisher;
use crate::cli::receiving::Receiving;
use crate::cli::recording_summary::RecordingSummary;
use crate::cli::{Ctx, Outcome};

/// A camera of the plan.
#[derive(Debug)]
struct Member {
    source: NamedSource,
    session: Session,
    /// Between two servers.
    kept: Option<KeptCamera>,
}

/// Why a session ends before the program does.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The plan has another source for the name of the camera.
    Changed,
    Removed,
}

/// Records a camera whose address has changed, because a client has started its recording and has not stopped it.
fn record_again(server: &CameraServer, name: &str) {
    match server.record(name) {
        Ok(()) => present::log(&format!("{name}: recording again, into a new file")),
        Err(error) => {
            let help = error.help().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
            let error = anyhow::Error::from(error);
            present::always_say(&format!("error: {name}: cannot record again: {error:#}{help}"));
        }
    }
}

/// The cameras of the plan, and the counts of those that were removed.
pub(super) struct ConnectedFleet<'a> {
    ctx: &'a Ctx,
    args: &'a ServeArgs,
    receiving: Receiving,
    /// In the order of the plan.
    members: Vec<Member>,
    removed_recordings: Vec<RecordingSummary>,
    removed_viewers: Vec<CameraViewers>,
    /// Publishes the cameras, too.
    publisher: Option<Publisher>,
}

impl<'a> ConnectedFleet<'a> {
    /// Creates a fleet without cameras.
    pub(super) fn new(ctx: &'a Ctx, args: &'a ServeArgs, publisher: Option<Publisher>) -> anyhow::Result<Self> {
        let receiving = Receiving::start(ctx, Vec::new(), &args.source, &args.until, &RecordersMonitor::default())?;
        Ok(Self {
            ctx,
            args,
            receiving,
            members: Vec::new(),
            removed_recordings: Vec::new(),
            removed_viewers: Vec::new(),
            publisher,
        })
    }

    /// Lets the server serve these sources, and connects those that are not connected yet. Ends the sessions of all others before,
    /// because a source may be a camera that had another name. Returns the sessions in the order of the sources.
    pub(super) fn connect(
        &mut self,
        sources: &[NamedSource],
        server: &mut CameraServer,
    ) -> anyhow::Result<Vec<Session>> {
        let cameras = live::cameras(sources);
        let mut rest = std::mem::take(&mut self.members);
        let mut found = Vec::new();
        for (source, camera) in sources.iter().zip(&cameras) {
            let is_it = |member: &Member| member.source == *source && member.session.name() == camera.name;
            found.push(rest.iter().position(is_it).map(|at| rest.remove(at)));
        }
        let mut was_recorded = Vec::new();
        for member in rest {
            let name = member.session.name().to_owned();
            let end = if cameras.iter().any(|camera| camera.name == name) { End::Changed } else { End::Removed };
            if self.remove(member, end) {
                was_recorded.push(name);
            }
        }
        let mut added = Vec::new();
        for (camera, member) in cameras.iter().zip(&mut found) {
            match member.as_mut().and_then(|member| member.kept.take()) {
                Some(kept) => server.keep(camera.name.clone(), kept),
                None => {
                    server.connect(std::slice::from_ref(camera), None)?;
                    if let Some(publisher) = &mut self.publisher {
                        let recordings = server.recordings(std::slice::from_ref(camera));
                        publisher.show_recordings(recordings, server.recording_switch(&camera.name));
                        publisher.connect(std::slice::from_ref(camera))?;
                    }
                    added.push(camera.clone());
                }
            }
        }
        // Before their sessions start, so that each frame is recorded.
        let again = added.iter().filter(|camera| was_recorded.contains(&camera.name));
        again.for_each(|camera| record_again(server, &camera.name));
        let recordings = server.recordings(&added);
        let first = self.receiving.sessions().len();
        self.receiving.add(added, &recordings);
        if let Some(publisher) = &mut self.publisher {
            publisher.start(&self.receiving.sessions()[first..])?;
        }
        let mut sessions = self.receiving.sessions()[first..].iter().cloned();
        for (source, member) in sources.iter().zip(found) {
            let member = member.or_else(|| {
                let session = sessions.next()?;
                Some(Member { source: source.clone(), session, kept: None })
            });
            self.members.extend(member);
        }
        Ok(self.members.iter().map(|member| member.session.clone()).collect())
    }

    /// Keeps the cameras of a server that has ended for the next one.
    pub(super) fn keep(&mut self, cameras: Vec<KeptCamera>) {
        for (member, camera) in self.members.iter_mut().zip(cameras) {
            member.kept = Some(camera);
        }
    }

    /// Ends the session of a camera and its recordings. Returns whether one ran.
    fn remove(&mut self, member: Member, end: End) -> bool {
        let name = member.session.name();
        self.receiving.remove(name);
        if let Some(publisher) = &mut self.publisher {
            publisher.remove(name);
        }
        present::log(&match end {
            End::Changed => format!("{name}: disconnected, because its address changed"),
            End::Removed => format!("{name}: removed"),
        });
        let Some(kept) = member.kept else { return false };
        let is_recorded = kept.is_recorded();
        let (recordings, viewers) = kept.finish();
        let recordings = recordings.into_iter().map(RecordingSummary::of);
        let before = self.removed_recordings.len();
        self.removed_recordings.extend(recordings);
        self.removed_viewers.extend(viewers.into_iter().filter(|camera| !camera.viewers.is_empty()));
        // Those before have ended because clients have stopped them.
        if let Some(last) = self.removed_recordings[before..].last().filter(|_| is_recorded) {
            let why = match end {
                End::Changed => "its address changed",
                End::Removed => "the camera was removed",
            };
            present::log(&format!("{name}: recording ended, because {why}: {}", last.counts()));
        }
        is_recorded
    }

    /// Returns the runtime of the sessions.
    pub(super) fn runtime(&self) -> &Handle {
        self.receiving.runtime()
    }

    /// Returns whether a stop condition holds.
    pub(super) fn is_over(&self) -> bool {
        over(&self.receiving, &self.args.until)
    }

    /// Returns how long to wait for an event before checking [`Self::is_over`] again.
    pub(super) fn stop_check_interval(&self) -> Duration {
        self.receiving.stop_check_interval()
    }

    /// Ends the sessions, their recordings, and the server. Prints the counts of all cameras that were served.
    pub(super) fn finish(self, mut server: CameraServer) -> anyhow::Result<Outcome> {
        // `Receiving::finish` reports how the sessions ended.
        drop(self.receiving.stop());
        let published = self.publisher.map(Publisher::finish);
        published.as_ref().map(|published| published.print(self.ctx)).transpose()?;
        let mut recordings = self.removed_recordings;
        recordings.extend(server.end_recordings().into_iter().map(RecordingSummary::of));
        server.finish_after(self.removed_viewers).print(self.ctx)?;
        let outcome = self.receiving.finish(self.ctx, &recordings)?;
        Ok(published.map_or(outcome, |published| published.outcome(outcome)))
    }
}
