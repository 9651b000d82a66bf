//! Reasons for not building an application.

use super::{Resolution, Size};

/// A parameter that is wrong, or contradicts another one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum AppError {
    /// The name does not fit into a record of 32 bytes, or is not one word.
    #[error("invalid application name `{found}`: expected 1 to 24 letters, digits, `.`, `_` and `-`")]
    Name { found: String },
    /// A number is out of range.
    #[error("{what} is {found}: expected {expected}")]
    Range { what: &'static str, found: String, expected: &'static str },
    /// The preview is a part of the video.
    #[error("the preview is {size}, larger than the camera's {video} at {}: use a smaller size or a larger resolution", resolution.name())]
    LargerThanSensor { size: Size, video: Size, resolution: Resolution },
    /// The camera cannot produce this size.
    #[error("{what} is {size}: expected {expected}; the nearest size is {nearest}")]
    Multiple { what: &'static str, size: Size, expected: &'static str, nearest: Size },
    /// The camera sends its video only encoded.
    #[error("the video cannot be sent raw: send the preview (up to {video}), or send the video as jpeg, h264 or h265")]
    RawVideo { video: Size },
    /// Preview and model input differ.
    #[error(
        "the model's input is {input}, the preview is {size}: fit it (letterbox, stretch or crop), or set the size to {input}"
    )]
    Input { input: Size, size: Size },
    /// Neither the blob nor the user gives the size of the input.
    #[error("the blob does not contain the size of its input, which {fit} needs: set the model's input")]
    UnknownInput { fit: &'static str },
    /// The user and the blob give different sizes.
    #[error("the model's input is set to {given}, but its blob says {found}: remove the setting")]
    InputContradicted { given: Size, found: Size },
    /// The number of labels is not the number of classes.
    #[error("{labels} labels for {classes} classes: expected one for each class, or none")]
    Labels { labels: usize, classes: u32 },
    /// The label cannot be sent in records. The official host programs end when they read a byte that is not printable.
    #[error(
        "label {index} is `{found}`: expected 1 to 100 printable ASCII characters, without `+` in front or spaces around them"
    )]
    Label { index: usize, found: String },
    /// Anchors without masks, or masks without anchors.
    #[error("{anchors} anchor numbers and {masks} masks: YOLO 3, 4, 5 and 7 need both, YOLO 6 and 8 need neither")]
    Anchors { anchors: usize, masks: usize },
    /// The anchors are not pairs of width and height.
    #[error("{found} anchor numbers: expected a width and a height for each anchor")]
    OddAnchors { found: usize },
    /// A mask names an anchor that does not exist.
    #[error("mask `{mask}` names anchor {found}: expected 0 to {}", anchors - 1)]
    NoSuchAnchor { mask: String, found: i32, anchors: usize },
    /// The firmware assigns masks to outputs by the width in their names.
    #[error("invalid mask name `{found}`: expected `side` and the width of an output, such as side26")]
    Mask { found: String },
    /// Datagrams need an address.
    #[error("the transport udp needs the host that gets the datagrams: set the host, such as 192.168.1.10")]
    NoHost,
    /// The camera uses this port itself.
    #[error("port {port} is reserved: use another one, such as 5000")]
    Port { port: u16 },
}
