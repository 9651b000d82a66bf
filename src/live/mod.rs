//! Starts sessions, connects them to sinks, and ends them. The command line, benches, tests and bindings share it.
//!
//! ```text
//! cameras(sources) -> Camera { name, outlets } --Sink::connect--> lanes        Live::start(cameras) -> sessions deliver
//!                                                                            Live::stop, then Sink::finish
//! ```

mod decoding;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use decoding::{DecodeFailed, Decoding, PictureLanes};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::source::{NamedSource, Outlets, Session, SessionOptions, SourceError, SourceSpec};

/// Threads that receive. Two carry a hundred cameras; the other processors convert.
const RECEIVE_THREADS: usize = 2;

/// A camera before its session starts: its names, its source, and the outlets that sinks subscribe to.
#[derive(Clone, Debug)]
pub struct Camera {
    /// The given name, or that of the source ([`SourceSpec::name`]); unique among the cameras of a [`Live`]. People, JSON, files and
    /// channels have the same one.
    pub name: String,
    /// Source of the frames.
    pub spec: SourceSpec,
    /// Hubs of the session, and its ledger.
    pub outlets: Outlets,
    /// Name of the stream whose pictures views show; `None` for the first one.
    pub stream: Option<Arc<str>>,
}

impl Camera {
    /// Creates a camera with this name.
    #[must_use]
    pub fn new(name: impl Into<String>, spec: SourceSpec) -> Self {
        Self { name: name.into(), spec, outlets: Outlets::default(), stream: None }
    }

    /// Returns the camera for views of another stream of the same session, which is that of this camera.
    #[must_use]
    pub fn of_stream(&self, stream: &str) -> Self {
        let name = format!("{}_{}", self.name, stream.replace('/', "_"));
        Self { name, stream: Some(stream.into()), ..self.clone() }
    }
}

/// A consumer of the frames of cameras. It may block, because it runs on its own threads.
pub trait Sink {
    /// Result of [`Self::finish`].
    type Outcome;

    /// Subscribes to a camera's outlets. Called before the camera's session starts, so that no frame is missed.
    ///
    /// # Errors
    /// The system refuses a thread.
    fn connect(&mut self, camera: &Camera) -> io::Result<()>;

    /// Processes the remaining frames and returns the result. Called after the sessions have ended.
    fn finish(self) -> Self::Outcome
    where
        Self: Sized;
}

/// Connects each camera to a sink.
///
/// # Errors
/// As [`Sink::connect`].
pub fn connect<S: Sink>(cameras: &[Camera], sink: &mut S) -> io::Result<()> {
    cameras.iter().try_for_each(|camera| sink.connect(camera))
}

/// Creates a camera for each source, with unique names: the given ones, or names derived from the source.
#[must_use]
pub fn cameras<S: Clone + Into<NamedSource>>(sources: &[S]) -> Vec<Camera> {
    let sources: Vec<NamedSource> = sources.iter().cloned().map(Into::into).collect();
    let names = unique_names(&sources);
    names.into_iter().zip(sources).map(|(name, source)| Camera::new(name, source.spec)).collect()
}

/// Numbers simulated cameras, and appends `-2`, `-3` to names that occur again. Given names stay as they are.
fn unique_names(sources: &[NamedSource]) -> Vec<String> {
    let given: Vec<&String> = sources.iter().filter_map(|source| source.name.as_ref()).collect();
    let mut names: Vec<String> = Vec::new();
    let mut simulated = 0;
    for NamedSource { name, spec } in sources {
        if let Some(name) = name.as_ref().filter(|name| !names.contains(name)) {
            names.push(name.clone());
            continue;
        }
        let mut name = name.clone().unwrap_or_else(|| spec.name());
        if matches!(spec, SourceSpec::Sim(_)) {
            simulated += 1;
            name = format!("{name}-{simulated}");
        }
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let taken = |name: &String| names.contains(name) || given.contains(&name);
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
        names.extend(free);
    }
    names
}

/// Running sessions. Dropping it ends them.
#[derive(Debug)]
pub struct Live {
    sessions: Vec<Session>,
    runtime: Handle,
    /// The runtime that [`Self::start`] created.
    own_runtime: Option<Runtime>,
}

/// Longest time that [`Live`] waits for blocking work when it is dropped: the system may still resolve a host name.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);

impl Drop for Live {
    fn drop(&mut self) {
        self.sessions.clear();
        if let Some(runtime) = self.own_runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN_MAX);
        }
    }
}

impl Live {
    /// Starts a session for each camera, on threads of their own. Connect the sinks before.
    ///
    /// # Errors
    /// The system refuses threads.
    pub fn start(cameras: Vec<Camera>, options: &SessionOptions) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(RECEIVE_THREADS).thread_name("receive").enable_all().build()?;
        let mut live = Self::start_on(cameras, options, runtime.handle());
        live.own_runtime = Some(runtime);
        Ok(live)
    }

    /// Starts a session for each of further cameras, on the same threads.
    pub fn add(&mut self, cameras: Vec<Camera>, options: &SessionOptions) {
        let runtime = &self.runtime;
        let start =
            |Camera { name, spec, outlets, .. }: Camera| Session::start(name, spec, options.clone(), outlets, runtime);
        self.sessions.extend(cameras.into_iter().map(start));
    }

    /// Starts a session for each camera on the threads of `runtime`.
    #[must_use]
    pub fn start_on(cameras: Vec<Camera>, options: &SessionOptions, runtime: &Handle) -> Self {
        let mut live = Self { sessions: Vec::new(), runtime: runtime.clone(), own_runtime: None };
        live.add(cameras, options);
        live
    }

    /// Returns the sessions, in the order of their cameras.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Returns the runtime that the sessions run on, for tasks that watch them.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Returns whether all sessions have ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.sessions.iter().all(Session::ended)
    }

    /// Stops the sessions and waits until they have ended. Returns their results, in the order of the cameras.
    ///
    /// # Panics
    /// On a thread that drives asynchronous tasks.
    pub fn stop(&self) -> Vec<Result<(), Arc<SourceError>>> {
        self.sessions.iter().for_each(Session::stop);
        self.sessions.iter().map(Session::wait).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_short() {
        let specs = ["10.0.0.5", "tcp://10.0.0.5:9876", "sim:", "10.0.0.5", "sim:?fps=5", "listen://:5001"];
        let specs: [SourceSpec; 6] = specs.map(|uri| uri.parse().expect("a source"));
        let cameras = cameras(&specs);
        let names: Vec<_> = cameras.iter().map(|camera| camera.name.as_str()).collect();
        assert_eq!(names, ["10.0.0.5", "10.0.0.5:9876", "sim-1", "10.0.0.5-2", "sim-2", "listen:5001"]);
    }

    #[test]
    fn given_names_are_kept_and_derived_ones_avoid_them() {
        let sources: [NamedSource; 4] =
            ["sim:", "front=10.0.0.5", "sim-1=sim:?seed=2", "sim:"].map(|text| text.parse().expect("a source"));
        let cameras = cameras(&sources);
        let names: Vec<_> = cameras.iter().map(|camera| camera.name.as_str()).collect();
        assert_eq!(names, ["sim-1-2", "front", "sim-1", "sim-2"]);
    }

    /// Counts confirmed frames.
    struct Counting(Vec<crate::hub::Taker<Arc<crate::frame::Frame>>>);

    impl Sink for Counting {
        type Outcome = Vec<usize>;

        fn connect(&mut self, camera: &Camera) -> io::Result<()> {
            self.0.push(camera.outlets.take_confirmed("count", crate::hub::Policy::DropNewest(1000)));
            Ok(())
        }

        fn finish(self) -> Vec<usize> {
            self.0.iter().map(|taker| std::iter::from_fn(|| taker.recv()).count()).collect()
        }
    }

    #[test]
    fn added_sessions_run_beside_the_others_and_outlive_them() {
        let camera = |seed: u32| {
            let spec: SourceSpec = format!("sim:?size=16x16&fps=0&seed={seed}").parse().expect("a source");
            vec![Camera::new("sim", spec)]
        };
        let options = SessionOptions::default();
        let mut live = Live::start(camera(1), &options).expect("threads");
        live.add(camera(2), &options);
        let [first, second] = live.sessions() else { panic!("{live:?}") };
        first.stop();
        assert!(first.wait().is_ok() && !live.ended());
        let before = second.stats().frames.confirmed;
        while second.stats().frames.confirmed < before + 10 {
            std::thread::yield_now();
        }
        assert!(live.stop().iter().all(Result::is_ok) && live.ended());
    }

    #[test]
    fn a_sink_receives_the_frames_of_every_camera() {
        let specs: [SourceSpec; 2] = [1, 2].map(|seed| format!("sim:?size=16x16&fps=0&seed={seed}").parse().unwrap());
        let cameras = cameras(&specs);
        let mut sink = Counting(Vec::new());
        connect(&cameras, &mut sink).expect("connecting cannot fail");
        let live = Live::start(cameras, &SessionOptions::default()).expect("threads");
        for session in live.sessions() {
            while session.stats().frames.confirmed < 10 {
                std::thread::yield_now();
            }
        }
        assert!(live.stop().iter().all(Result::is_ok) && live.ended());
        let taken: Vec<_> = live.sessions().iter().map(|session| session.stats().lanes[0]).collect();
        let counted = sink.finish();
        for (lane, counted) in taken.iter().zip(counted) {
            assert!(lane.name == "count" && counted >= 10 && lane.offered - lane.dropped == counted as u64, "{lane:?}");
        }
    }
}
