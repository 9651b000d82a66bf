//! The message of `/NAME/wire`: everything that the camera sent beside the picture, so that its exact bytes can be rebuilt.

use std::fmt;
use std::str::FromStr;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use crate::frame::{Frame, Geometry, PayloadKind, Size};

/// One frame of the camera without its picture, or a [`RecordedIncident`] between two frames.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireMessage {
    /// Number of the frame on its connection, from 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Position of its header, in bytes since the connection was opened.
    #[prost(uint64, tag = "2")]
    pub at: u64,
    /// Dialect of its header: `IMG`, `ABCDE`, `ABCDE-256` or `FRAME`. `HTTP`, `UDP` or `MQTT` for pictures that these delimit.
    #[prost(string, tag = "3")]
    pub dialect: String,
    /// The 32-byte records before the header, as sent.
    #[prost(bytes = "vec", tag = "4")]
    pub records: Vec<u8>,
    /// The header as sent; in the dialect `FRAME` preceded by the header of `DETECT`, if there was one.
    #[prost(bytes = "vec", tag = "5")]
    pub header: Vec<u8>,
    /// The detections as sent.
    #[prost(bytes = "vec", tag = "6")]
    pub detections: Vec<u8>,
    /// Capture time in microseconds of the camera's clock.
    #[prost(sint64, tag = "7")]
    pub device_time_us: i64,
    /// The camera's own number for the frame.
    #[prost(uint64, optional, tag = "8")]
    pub camera_seq: Option<u64>,
    /// Arrival of the last byte, in nanoseconds of the host's monotonic clock.
    #[prost(fixed64, tag = "9")]
    pub arrival_mono_ns: u64,
    /// Captured before the connection was opened.
    #[prost(bool, tag = "10")]
    pub stale: bool,
    /// Kind of the payload: `RAW`, `JPEG`, `H264` or `H265`.
    #[prost(string, tag = "11")]
    pub kind: String,
    /// Layout that was used for the payload, or coding and size of video, if it was known.
    #[prost(message, optional, tag = "12")]
    pub layout: Option<PayloadLayout>,
    /// Length of the payload in bytes.
    #[prost(uint64, tag = "13")]
    pub payload_len: u64,
    /// CRC-32 (IEEE) of the payload as sent.
    #[prost(fixed32, tag = "14")]
    pub payload_crc32: u32,
    /// The payload, if the image message does not hold every byte of it.
    #[prost(bytes = "vec", tag = "15")]
    pub payload: Vec<u8>,
    /// Records that the camera sent before this file began and that still apply. Only in the first message of a file.
    #[prost(bytes = "vec", tag = "16")]
    pub context: Vec<u8>,
    /// An incident. The message then holds no frame.
    #[prost(message, optional, tag = "17")]
    pub incident: Option<RecordedIncident>,
    /// Number of bytes of `records` that were sent before the header of `DETECT`, if there was one. The others were sent
    /// after its text.
    #[prost(uint64, tag = "18")]
    pub detect_at: u64,
    /// CRC-32 (IEEE) of the sequence number (4 bytes, little endian), log time and publish time (8 bytes each) and all
    /// fields before this one as encoded. Appended to the encoded message.
    #[prost(fixed32, tag = "19")]
    pub crc32: u32,
}

/// Layout of a payload: [`Geometry`] with the vendor's name of the format. Of video, the coding and the size: only key frames
/// state it in their bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PayloadLayout {
    /// Format, such as `BGR888p`, or coding of video, such as `H264`.
    #[prost(string, tag = "1")]
    pub format: String,
    /// Width in pixels.
    #[prost(uint32, tag = "2")]
    pub width: u32,
    /// Height in rows.
    #[prost(uint32, tag = "3")]
    pub height: u32,
    /// Bytes from one row to the next.
    #[prost(uint32, tag = "4")]
    pub stride: u32,
    /// Rows from one plane to the next.
    #[prost(uint32, tag = "5")]
    pub plane_rows: u32,
}

/// An event between two frames.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RecordedIncident {
    /// Text of an [`IncidentKind`]. Other versions may write other kinds; see [`Self::kind`].
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Description for people.
    #[prost(string, tag = "2")]
    pub text: String,
    /// Number of frames that are missing because of it.
    #[prost(uint64, tag = "3")]
    pub frames: u64,
    /// Position, in bytes since the connection was opened.
    #[prost(uint64, tag = "4")]
    pub at: u64,
    /// Number of bytes that it concerns.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// The first of these bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub found: Vec<u8>,
    /// With the kind `clock-jump`: time of the wall clock that was expected, in nanoseconds since 1970, UTC.
    #[prost(sint64, tag = "7")]
    pub unix_expected_ns: i64,
    /// With the kind `clock-jump`: time of the wall clock that was found, in nanoseconds since 1970, UTC.
    #[prost(sint64, tag = "8")]
    pub unix_found_ns: i64,
    /// With the kind `measurement`: the number that the camera sent on the topic `text`.
    #[prost(double, tag = "9")]
    pub value: f64,
    /// With the kind `measurement`: a broker had retained it, so it is not of the present.
    #[prost(bool, tag = "10")]
    pub stale: bool,
}

impl RecordedIncident {
    /// The kind; `None` if another version of this program wrote a kind that this one does not know.
    #[must_use]
    pub fn kind(&self) -> Option<IncidentKind> {
        self.kind.parse().ok()
    }

    /// Memory that it takes up in a queue, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        256 + self.text.len() + self.found.len()
    }
}

/// Kind of a [`RecordedIncident`]. Its text is the `kind` in recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncidentKind {
    /// `gap`: frames that the recorder dropped.
    Gap,
    /// `lost`: frames that did not arrive, or only in part.
    Lost,
    /// `withdrawn`: a frame that proved to be damaged after it had been delivered.
    Withdrawn,
    /// `skipped`: bytes that belong to no intact frame.
    Skipped,
    /// `detections`: the detections of the next frame cannot be parsed completely.
    BadDetections,
    /// `not-sent`: numbers that the camera left out, so that it never sent these frames.
    NotSent,
    /// `connected`: a connection was opened.
    Connected,
    /// `disconnected`: the connection ended.
    Disconnected,
    /// `clock-jump`: the wall clock of the recorder was set. The times in the file continue as before it: the log time is
    /// the wall clock at the beginning of the file plus the monotonic time since.
    ClockJump,
    /// `trigger`: a detection matched the trigger of the recording for the first time in 1 s. Follows the frame with the detection.
    Trigger,
    /// `measurement`: the camera sent a number beside its pictures. Also on a topic of its own, for other programs.
    Measurement,
}

impl IncidentKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Gap,
        Self::Lost,
        Self::Withdrawn,
        Self::Skipped,
        Self::BadDetections,
        Self::NotSent,
        Self::Connected,
        Self::Disconnected,
        Self::ClockJump,
        Self::Trigger,
        Self::Measurement,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Lost => "lost",
            Self::Withdrawn => "withdrawn",
            Self::Skipped => "skipped",
            Self::BadDetections => "detections",
            Self::NotSent => "not-sent",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::ClockJump => "clock-jump",
            Self::Trigger => "trigger",
            Self::Measurement => "measurement",
        }
    }
}

impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for IncidentKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown kind of incident `{name}`; expected one of {known}")
        })
    }
}

impl From<&Geometry> for PayloadLayout {
    fn from(geometry: &Geometry) -> Self {
        let Geometry { format, width, height, stride, plane_rows } = *geometry;
        Self { format: format.name().to_owned(), width, height, stride, plane_rows }
    }
}

impl PayloadLayout {
    /// Returns the layout of a frame; `None` if it is unknown.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let video = || Some(Self::video(frame.kind, frame.video_size?));
        frame.geometry.as_ref().map(Self::from).or_else(video)
    }

    /// Returns the layout of video of this size.
    pub(super) fn video(kind: PayloadKind, Size { width, height }: Size) -> Self {
        Self { format: kind.name().to_owned(), width, height, ..Self::default() }
    }

    /// The size of video; `None` for pixels and JPEG.
    #[must_use]
    pub fn video_size(&self) -> Option<Size> {
        let is_video = PayloadKind::ALL.into_iter().any(|kind| kind.is_video() && kind.name() == self.format);
        is_video.then(|| Size::new(self.width, self.height))
    }

    /// The geometry; `None` for a format that this version does not know.
    #[must_use]
    pub fn geometry(&self) -> Option<Geometry> {
        let format = self.format.parse().ok()?;
        let Self { width, height, stride, plane_rows, .. } = *self;
        Some(Geometry { format, width, height, stride, plane_rows })
    }
}

/// Name of the schema of [`WireMessage`].
pub(super) const WIRE_SCHEMA: &str = "oaktap.Wire";

/// The schema of [`WireMessage`] in MCAP's form: a serialized `FileDescriptorSet`.
pub(super) fn descriptor() -> Vec<u8> {
    let wire = message(
        "Wire",
        &[
            ("id", Type::Uint64, ""),
            ("at", Type::Uint64, ""),
            ("dialect", Type::String, ""),
            ("records", Type::Bytes, ""),
            ("header", Type::Bytes, ""),
            ("detections", Type::Bytes, ""),
            ("device_time_us", Type::Sint64, ""),
            ("camera_seq", Type::Uint64, ""),
            ("arrival_mono_ns", Type::Fixed64, ""),
            ("stale", Type::Bool, ""),
            ("kind", Type::String, ""),
            ("layout", Type::Message, ".oaktap.Layout"),
            ("payload_len", Type::Uint64, ""),
            ("payload_crc32", Type::Fixed32, ""),
            ("payload", Type::Bytes, ""),
            ("context", Type::Bytes, ""),
            ("incident", Type::Message, ".oaktap.Incident"),
            ("detect_at", Type::Uint64, ""),
            ("crc32", Type::Fixed32, ""),
        ],
    );
    let layout = message(
        "Layout",
        &[
            ("format", Type::String, ""),
            ("width", Type::Uint32, ""),
            ("height", Type::Uint32, ""),
            ("stride", Type::Uint32, ""),
            ("plane_rows", Type::Uint32, ""),
        ],
    );
    let incident = message(
        "Incident",
        &[
            ("kind", Type::String, ""),
            ("text", Type::String, ""),
            ("frames", Type::Uint64, ""),
            ("at", Type::Uint64, ""),
            ("bytes", Type::Uint64, ""),
            ("found", Type::Bytes, ""),
            ("unix_expected_ns", Type::Sint64, ""),
            ("unix_found_ns", Type::Sint64, ""),
            ("value", Type::Double, ""),
            ("stale", Type::Bool, ""),
        ],
    );
    let file = FileDescriptorProto {
        name: Some("oaktap/wire.proto".to_owned()),
        package: Some("oaktap".to_owned()),
        message_type: vec![wire, layout, incident],
        // proto2, so that readers can distinguish an absent field from zero.
        syntax: Some("proto2".to_owned()),
        ..FileDescriptorProto::default()
    };
    prost::Message::encode_to_vec(&FileDescriptorSet { file: vec![file] })
}

/// Describes a message whose fields are numbered from 1, in this order.
fn message(name: &str, fields: &[(&str, Type, &str)]) -> DescriptorProto {
    let field = |(number, (name, kind, of)): (i32, &(&str, Type, &str))| FieldDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some((*kind).into()),
        type_name: (!of.is_empty()).then(|| (*of).to_owned()),
        ..FieldDescriptorProto::default()
    };
    let field = (1..).zip(fields).map(field).collect();
    DescriptorProto { name: Some(name.to_owned()), field, ..DescriptorProto::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incident_kinds_are_read_back_from_their_text() {
        for kind in IncidentKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let unknown = RecordedIncident { kind: "eclipse".to_owned(), ..RecordedIncident::default() };
        assert_eq!(unknown.kind(), None, "kinds of other versions are kept as text");
        let error = "eclipse".parse::<IncidentKind>().unwrap_err();
        assert!(error.starts_with("unknown kind of incident `eclipse`; expected one of gap, lost,"), "{error}");
    }
}
