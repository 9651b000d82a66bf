//! The id and the name of a camera in a report.

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::fleet::NamedCamera;

/// A camera in a report: its id, and the name that the user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CameraLabel {
    /// `None` if it was not found.
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    /// Stands for a missing id.
    given: String,
}

impl CameraLabel {
    /// A camera with this id, if it replied. `given` stands for a missing id.
    pub(crate) fn new(id: Option<String>, name: Option<String>, given: String) -> Self {
        Self { id, name, given }
    }

    /// A camera that replied.
    pub(crate) fn found(id: String, name: Option<String>) -> Self {
        Self { given: id.clone(), id: Some(id), name }
    }

    /// A camera that was not found.
    pub(crate) fn missing(camera: &NamedCamera) -> Self {
        Self { id: None, name: camera.name.clone(), given: camera.camera.to_string() }
    }

    /// Returns its id, or what the user gave if it was not found.
    pub(crate) fn id_or_given(&self) -> &str {
        self.id.as_ref().unwrap_or(&self.given)
    }
}

/// As the commands that receive do: `camera` is the name of the camera.
impl Serialize for CameraLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("CameraLabel", 2)?;
        fields.serialize_field("camera", self.name.as_deref().unwrap_or(self.id_or_given()))?;
        fields.serialize_field("id", &self.id)?;
        fields.end()
    }
}

impl std::fmt::Display for CameraLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) if self.id_or_given().is_empty() => f.write_str(name),
            Some(name) => write!(f, "{} ({name})", self.id_or_given()),
            None => f.write_str(self.id_or_given()),
        }
    }
}
