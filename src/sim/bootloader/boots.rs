//! What a camera's application does once it has booted.

use super::config::CameraConfig;
use super::sockets::Place;
use crate::package::Package;
use crate::sim::{Program, ProgramError, Running};

/// What sends the stream.
#[derive(Debug)]
pub(super) enum Boots {
    /// The Script of the package, for as long as it is kept.
    Program { _running: Running },
    /// What every simulated camera can do, as its configuration says.
    BuiltIn,
    /// Nobody.
    Nothing,
}

impl Boots {
    /// The application in this image, booted at this place.
    pub(super) fn boot(image: Option<Vec<u8>>, place: Place, config: &CameraConfig) -> Self {
        let Some(package) = image.and_then(|image| Package::parse(image).ok()) else { return Self::BuiltIn };
        let program = match Program::of(&package) {
            Ok(program) => program,
            Err(error @ (ProgramError::NoScript { .. } | ProgramError::NoText { .. })) => {
                tracing::debug!("{error}; the built-in stream is sent instead");
                return Self::BuiltIn;
            }
            Err(error) => {
                tracing::warn!("{error}: {}; the built-in stream is sent instead", source(&error));
                return Self::BuiltIn;
            }
        };
        if !program.is_ours() && !config.any_script {
            // Whoever reaches this camera can flash it: that is no leave to run what they like on this computer.
            tracing::warn!(
                "the Script of this application is not that of this oaktap, so it is not run here; the built-in stream is \
                 sent instead (--run-scripts, or `scripts=any`, runs whatever is flashed)"
            );
            return Self::BuiltIn;
        }
        match program.start(place.ip, place.stream, &config.id, &config.stream) {
            Ok(running) => Self::Program { _running: running },
            Err(error) => {
                tracing::warn!("the application sends nothing: {error}");
                Self::Nothing
            }
        }
    }
}

fn source(error: &ProgramError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
