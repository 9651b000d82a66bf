//! The 32 bytes before a message: one function per dialect (wire.md sections 2 and 7).

use crate::frame::{DeviceTime, Dialect};

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The grammar that it was written in.
    pub dialect: Dialect,
    /// Its length in bytes.
    pub len: usize,
    /// When the picture was taken.
    pub device_time: DeviceTime,
    /// Bytes of detections between header and payload.
    pub detections_len: usize,
    /// Bytes of payload.
    pub payload_len: usize,
}

/// A line of 32 bytes between messages (wire.md section 7).
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // Each variant shows its line; the fields have the names that stand in it.
pub enum Record {
    /// `@V 1 <app>`: version of the extension and name of the application.
    Version { version: u32, app: String },
    /// `@I <device id>`.
    DeviceId(String),
    /// `@D W H TYPE [stride]`.
    Dimensions(crate::frame::Geometry),
    /// `@R fps`.
    FrameRate(f32),
    /// `@L <id> <name>`: a class has a name.
    Label { label: u32, name: String },
    /// `@S <stream>`.
    Stream(String),
    /// `@F <seq> <ts_us>`: number and time of the frame that follows.
    Frame { seq: u64, device_time: DeviceTime },
    /// `@E <seq> <crc32 hex>`: checksum of the frame before.
    Checksum { seq: u64, crc32: u32 },
    /// `@B <label> <conf> <xmin> <ymin> <xmax> <ymax>`: a box of the encoded frame that follows.
    Box(crate::frame::Detection),
    /// `@T t=67.8 css=97 mss=13`: temperature in degrees Celsius and processor loads in percent.
    Health { celsius: Option<f32>, css: Option<f32>, mss: Option<f32> },
    /// `@Q drop=12`: frames that the camera itself dropped.
    Dropped(u64),
    /// `@N <text>`: the camera's answer to a control record.
    Note(String),
    /// 32 printable bytes that begin like no header: skipped and shown (wire.md 4.8).
    Foreign(String),
}
