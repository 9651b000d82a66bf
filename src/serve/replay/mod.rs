//! Plays a recording of the list in a page, over the socket that has its live pictures.
//!
//! ```text
//! file --Session--> provisional frames, video decoded --DropOldest(1)--> one JPEG at a time, while the page has room
//! ```
//!
//! The session is that of `oaktap replay`, so that steps, seeks and gaps are those of the window. A page plays one recording
//! at a time, and all pages together [`REPLAYS_MAX`].

mod contents;
mod marks;
mod playing;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::contents::{Contents, Problem, find};
use self::playing::Playing;
use super::form::ShotSize;
use super::page_message::{Play, PlaybackChange};
use super::routes::Server;
use crate::overlay::Style;

/// Recordings that all pages play at the same time. Each costs the encoding of its pictures.
pub(super) const REPLAYS_MAX: usize = 4;

/// How often the state is compared with the one that the page has.
const STATE_INTERVAL: Duration = Duration::from_millis(100);

enum Stage {
    Opening(JoinHandle<Result<Contents, Problem>>),
    Playing(Box<Playing>),
    Failed(Problem),
}

/// The replay of one page.
pub(super) struct Replay {
    recording: String,
    style: Style,
    size: ShotSize,
    stage: Stage,
    ticks: Interval,
    /// The state that the page has.
    sent: String,
}

/// A message for the page.
pub(super) enum ReplayMessage {
    /// Counts as on the way until the page has drawn it.
    Picture(Message),
    State(Message),
}

impl Replay {
    /// Begins to open a recording of the list.
    pub(super) fn open(server: &Server, play: Play) -> Self {
        let Play { recording, camera, width } = play;
        let mut ticks = interval(STATE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let found = find(server.recordings.clone(), Arc::clone(&server.replays), recording.clone(), camera);
        Self {
            recording,
            style: server.style.clone(),
            size: ShotSize::for_width(width),
            stage: Stage::Opening(tokio::spawn(found)),
            ticks,
            sent: String::new(),
        }
    }

    /// Applies a change of the page. Before the recording is open, there is nothing to change except the size.
    pub(super) fn change(&mut self, change: PlaybackChange) {
        if let PlaybackChange::Width(width) = change {
            self.size = ShotSize::for_width(width);
        }
        if let Stage::Playing(playing) = &mut self.stage {
            playing.change(change, self.size);
        }
    }

    /// Returns the next message for the page. `has_room`: another picture may be on the way. Losing the future loses nothing.
    pub(super) async fn next(&mut self, has_room: bool) -> ReplayMessage {
        loop {
            match &mut self.stage {
                Stage::Opening(opening) => tokio::select! {
                    opened = opening => self.stage = self.opened(opened.unwrap_or_else(|_| Err(Problem::bug()))),
                    _ = self.ticks.tick() => {}
                },
                Stage::Playing(playing) => tokio::select! {
                    message = playing.next(has_room) => return message,
                    _ = self.ticks.tick() => {}
                },
                Stage::Failed(_) => {
                    self.ticks.tick().await;
                }
            }
            let state = self.state();
            if state != self.sent {
                self.sent.clone_from(&state);
                return ReplayMessage::State(Message::Text(state.into()));
            }
        }
    }

    fn opened(&self, opened: Result<Contents, Problem>) -> Stage {
        match opened.and_then(|contents| Playing::start(contents, &self.style, self.size)) {
            Ok(playing) => Stage::Playing(Box::new(playing)),
            Err(problem) => Stage::Failed(problem),
        }
    }

    /// Returns the state as JSON.
    fn state(&self) -> String {
        #[derive(Serialize)]
        struct State<'a> {
            replay: Told<'a>,
        }
        #[derive(Serialize)]
        struct Told<'a> {
            recording: &'a str,
            /// `opening`, `playing` or `failed`.
            stage: &'static str,
            #[serde(flatten)]
            problem: Option<&'a Problem>,
            #[serde(flatten)]
            playing: Option<playing::PlayingState<'a>>,
        }
        let (stage, problem, playing) = match &self.stage {
            Stage::Opening(_) => ("opening", None, None),
            Stage::Playing(playing) => ("playing", None, Some(playing.state())),
            Stage::Failed(problem) => ("failed", Some(problem), None),
        };
        let told = Told { recording: &self.recording, stage, problem, playing };
        // Strings and numbers: serializing them cannot fail.
        serde_json::to_string(&State { replay: told }).unwrap_or_default()
    }
}
