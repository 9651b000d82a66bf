//! Boots the application of a simulated camera.

use super::config::CameraConfig;
use super::sockets::Place;
use crate::package::Package;
use crate::sim::{Program, ProgramError, RunningProgram};

/// The sender of the stream while the application runs.
#[derive(Debug)]
pub(super) enum BootedApplication {
    /// The Script of the package. Dropping it ends the program.
    Program { _running: RunningProgram },
    /// The built-in stream of [`CameraConfig::stream`].
    BuiltIn,
    /// No stream, because the program could not be started.
    Nothing,
}

impl BootedApplication {
    /// Boots the application in this image at this place.
    pub(super) fn boot(image: Option<Vec<u8>>, place: Place, config: &CameraConfig) -> Self {
        let Some(package) = image.and_then(|image| Package::parse(image).ok()) else { return Self::BuiltIn };
        let program = match Program::of(&package) {
            Ok(program) => program,
            Err(error @ (ProgramError::NoScript { .. } | ProgramError::NoText { .. })) => {
                tracing::debug!("{error}; sending the built-in stream instead");
                return Self::BuiltIn;
            }
            Err(error) => {
                tracing::warn!("{error}: {}; sending the built-in stream instead", source(&error));
                return Self::BuiltIn;
            }
        };
        if !program.is_ours() && !config.any_script {
            // Everyone who can reach this camera can flash it. That must not let them run programs on this host.
            tracing::warn!(
                "another program built the Script of this application, so it does not run; sending the built-in \
                 stream instead (--run-scripts or `scripts=any` runs any flashed Script)"
            );
            return Self::BuiltIn;
        }
        match program.start(place.ip, place.stream, &config.id, &config.stream) {
            Ok(running) => Self::Program { _running: running },
            Err(error) => {
                tracing::warn!("cannot start the application, so it sends nothing: {error}");
                Self::Nothing
            }
        }
    }
}

fn source(error: &ProgramError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
