//! Why an application cannot be built.

use super::{Resolution, Size};

/// What contradicts what, and the fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum AppError {
    /// It would not fit into a record of 32 bytes, or not be one word.
    #[error("`{found}` cannot be the application's name: expected 1 to 24 letters, digits, `.`, `_` and `-`")]
    Name { found: String },
    /// A number out of its range.
    #[error("{what} is {found}: expected {expected}")]
    Range { what: &'static str, found: String, expected: &'static str },
    /// The preview is cut out of the video.
    #[error("the preview is {size}, and at {} the camera's pictures have {video}: take a smaller size or a larger resolution", resolution.name())]
    LargerThanSensor { size: Size, video: Size, resolution: Resolution },
    /// The camera cannot make it.
    #[error("{what} of {size}: expected {expected}; {} is the nearest", nearest)]
    Multiple { what: &'static str, size: Size, expected: &'static str, nearest: Size },
    /// The sensor's picture is sent encoded alone.
    #[error(
        "raw pictures are previews: for larger ones set the size (up to {video}), or send video as jpeg, h264 or h265"
    )]
    RawVideo { video: Size },
    /// The model wants another size.
    #[error(
        "the model wants {input}, the preview is {size}: let it be fitted (letterbox, stretch or crop), or set the size to {input}"
    )]
    Input { input: Size, size: Size },
    /// The size of the input is needed, and nobody says it.
    #[error("the blob does not tell the size of its input, and it has to be known for {fit}: set the model's input")]
    UnknownInput { fit: &'static str },
    /// Two say what the input is.
    #[error("the model's input is said to be {said}, and its blob says {found}: leave the model's input out")]
    InputContradicted { said: Size, found: Size },
    /// A label for each class.
    #[error("there are {labels} labels for {classes} classes: give one for each, or none")]
    Labels { labels: usize, classes: u32 },
    /// What a camera can send and every host can read.
    #[error(
        "label {index} is `{found}`: expected 1 to 100 printable ASCII characters, because the official hosts end at any other, and no `+` at its beginning"
    )]
    Label { index: usize, found: String },
    /// Anchors without masks, or the other way round.
    #[error(
        "there are {anchors} numbers of anchors and {masks} masks: versions with anchors (3, 4, 5, 7) need both, the others (6, 8) none"
    )]
    Anchors { anchors: usize, masks: usize },
    /// An anchor is a width and a height.
    #[error("{found} numbers of anchors: expected a width and a height for each")]
    OddAnchors { found: usize },
    /// A mask names an anchor that is not there.
    #[error("mask `{mask}` names anchor {found}, and there are {anchors}, from 0 on")]
    NoSuchAnchor { mask: String, found: i32, anchors: usize },
    /// Masks belong to outputs by their size.
    #[error("`{found}` is no name of a mask: expected `side` and the width of an output, such as side26")]
    Mask { found: String },
    /// Camera and discovery use it themselves.
    #[error("port {port} is the camera's own: take another one, such as 5000")]
    Port { port: u16 },
}
