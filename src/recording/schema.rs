//! The message of `/NAME/wire`: what the wire said beside the picture, so that the camera's bytes can be rebuilt.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

use crate::frame::Geometry;

/// One message of the camera, or an [`Incident`] between two of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Wire {
    /// Number of the frame on its connection.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Where it began, in bytes since the connection was opened.
    #[prost(uint64, tag = "2")]
    pub at: u64,
    /// Grammar of its header: `IMG`, `ABCDE`, `ABCDE-256` or `FRAME`.
    #[prost(string, tag = "3")]
    pub dialect: String,
    /// Records of 32 bytes that stood before the header.
    #[prost(bytes = "vec", tag = "4")]
    pub records: Vec<u8>,
    /// The header as sent; in the dialect `FRAME` that of `DETECT` first, if there was one.
    #[prost(bytes = "vec", tag = "5")]
    pub header: Vec<u8>,
    /// The detections as sent.
    #[prost(bytes = "vec", tag = "6")]
    pub detections: Vec<u8>,
    /// Microseconds on the camera's clock.
    #[prost(sint64, tag = "7")]
    pub device_time_us: i64,
    /// The camera's own number for the frame.
    #[prost(uint64, optional, tag = "8")]
    pub camera_seq: Option<u64>,
    /// Arrival of the last byte, in nanoseconds of a clock of the host that never goes backwards.
    #[prost(fixed64, tag = "9")]
    pub arrival_mono_ns: u64,
    /// Taken before we connected.
    #[prost(bool, tag = "10")]
    pub stale: bool,
    /// `RAW`, `JPEG`, `H264` or `H265`.
    #[prost(string, tag = "11")]
    pub kind: String,
    /// How the payload was read, if that was known.
    #[prost(message, optional, tag = "12")]
    pub layout: Option<Layout>,
    /// Bytes of the payload.
    #[prost(uint64, tag = "13")]
    pub payload_len: u64,
    /// CRC-32 (IEEE) of the payload as it was on the wire.
    #[prost(fixed32, tag = "14")]
    pub payload_crc32: u32,
    /// The payload, when the image message does not hold every byte of it.
    #[prost(bytes = "vec", tag = "15")]
    pub payload: Vec<u8>,
    /// Records that the connection had brought before this file began and that still hold. In the first message only.
    #[prost(bytes = "vec", tag = "16")]
    pub context: Vec<u8>,
    /// Instead of a frame: something that happened.
    #[prost(message, optional, tag = "17")]
    pub incident: Option<Incident>,
    /// Bytes of `records` that stood before the header of `DETECT`, if there was one; the others stood behind its text.
    #[prost(uint64, tag = "18")]
    pub detect_at: u64,
    /// CRC-32 (IEEE) of sequence (4 bytes, little endian), log time and publish time (8 bytes each) and of all fields
    /// before this one as they are encoded. It is appended to the message.
    #[prost(fixed32, tag = "19")]
    pub crc32: u32,
}

/// How a payload lies in memory: [`Geometry`] with the vendor's name of the format.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Layout {
    /// Such as `BGR888p`.
    #[prost(string, tag = "1")]
    pub format: String,
    /// Pixels in a row.
    #[prost(uint32, tag = "2")]
    pub width: u32,
    /// Rows.
    #[prost(uint32, tag = "3")]
    pub height: u32,
    /// Bytes from row to row.
    #[prost(uint32, tag = "4")]
    pub stride: u32,
    /// Rows from plane to plane.
    #[prost(uint32, tag = "5")]
    pub plane_rows: u32,
}

/// What happened between two frames.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Incident {
    /// `gap` (frames that the recorder had to drop), `lost` and `withdrawn` (frames that arrived damaged), `skipped`
    /// (bytes of no intact frame), `detections` (a text that cannot be read), `connected`, `disconnected`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// In words.
    #[prost(string, tag = "2")]
    pub text: String,
    /// Frames that are missing because of it.
    #[prost(uint64, tag = "3")]
    pub frames: u64,
    /// Where, in bytes since the connection was opened.
    #[prost(uint64, tag = "4")]
    pub at: u64,
    /// How many bytes.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// The first of them.
    #[prost(bytes = "vec", tag = "6")]
    pub found: Vec<u8>,
}

impl From<&Geometry> for Layout {
    fn from(geometry: &Geometry) -> Self {
        let Geometry { format, width, height, stride, plane_rows } = *geometry;
        Self { format: format.name().to_owned(), width, height, stride, plane_rows }
    }
}

impl Layout {
    /// The geometry; `None` for a format that this version does not know.
    #[must_use]
    pub fn geometry(&self) -> Option<Geometry> {
        let format = self.format.parse().ok()?;
        let Self { width, height, stride, plane_rows, .. } = *self;
        Some(Geometry { format, width, height, stride, plane_rows })
    }
}

/// Name of the schema of [`Wire`].
pub(super) const WIRE: &str = "oaktap.Wire";

/// The schema of [`Wire`] as MCAP wants it: a serialised `FileDescriptorSet`.
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
        ],
    );
    let file = FileDescriptorProto {
        name: Some("oaktap/wire.proto".to_owned()),
        package: Some("oaktap".to_owned()),
        message_type: vec![wire, layout, incident],
        // With it a reader can tell a field that is absent from one that is zero.
        syntax: Some("proto2".to_owned()),
        ..FileDescriptorProto::default()
    };
    prost::Message::encode_to_vec(&FileDescriptorSet { file: vec![file] })
}

/// A message whose fields are numbered from 1 in this order.
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
