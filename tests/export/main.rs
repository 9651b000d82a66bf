//! Exports of recordings: the library, the command, and the programs of others that read the result.

mod command;
mod dataset_readers;
mod decoding;
mod formats;
mod numbers;
mod video;
mod video_faults;

#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/recordings.rs"]
mod recordings;
#[path = "../support/video.rs"]
mod video_peer;
