//! Recordings in MCAP: written, damaged, recovered, replayed, and read by programs of others.

mod advice;
mod agreement;
mod clock_jumps;
mod damage;
mod device_clock;
#[cfg(unix)]
mod disk;
mod folders;
#[cfg(target_os = "linux")]
mod hostile;
mod inspect;
mod other_writers;
mod python_mcap;
mod readme_python;
mod record;
mod replay;
mod rerun;
mod round_trip;
mod serve;
mod video_boxes;

#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/luxonis_page.rs"]
mod luxonis_page;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/recordings.rs"]
mod recordings;
