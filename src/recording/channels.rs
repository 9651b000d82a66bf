//! Finds the cameras of a file by the topics and schemas of its channels, as other readers do: channel numbers are only
//! valid within one file, and every tool assigns its own.

use std::collections::{BTreeMap, HashMap};

use mcap::records::{Channel, Metadata, Record, op};

use super::CameraInfo;
use super::image::ImageMessage;
use super::mcap_record;
use super::number_channels::NUMBER_SCHEMA;
use super::schema::WIRE_SCHEMA;
use super::writer::{CHANNELS, image_channel};
use crate::frame::LabelMap;

/// Cameras that are read from one file. Each takes up to 0.2 MB of memory in `inspect`.
pub(super) const CAMERAS_MAX: usize = 512;
/// Topics that an error lists.
const LISTED_TOPICS: usize = 4;
/// Last parts of topics that say that a topic has pictures, and not of which camera.
const IMAGE_TOPICS: [&str; 9] = [
    "image",
    "image_raw",
    "image_rect",
    "image_color",
    "image_rect_color",
    "image_compressed",
    "compressed",
    "compressed_image",
    "video",
];

/// Schema and encoding of an image message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageSchema {
    /// `foxglove.RawImage`, `CompressedImage` or `CompressedVideo` as protobuf.
    Foxglove(ImageMessage),
    /// `sensor_msgs/msg/Image` of ROS 2.
    RosImage,
    /// `sensor_msgs/msg/CompressedImage` of ROS 2.
    RosCompressedImage,
}

impl ImageSchema {
    fn of(schema: &str, encoding: &str) -> Option<Self> {
        Some(match (schema, encoding) {
            ("foxglove.RawImage", "protobuf") => Self::Foxglove(ImageMessage::Raw),
            ("foxglove.CompressedImage", "protobuf") => Self::Foxglove(ImageMessage::Compressed),
            ("foxglove.CompressedVideo", "protobuf") => Self::Foxglove(ImageMessage::Video),
            ("sensor_msgs/msg/Image", "cdr") => Self::RosImage,
            ("sensor_msgs/msg/CompressedImage", "cdr") => Self::RosCompressedImage,
            _ => return None,
        })
    }

    /// Name of the schema.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Foxglove(ImageMessage::Raw) => "foxglove.RawImage",
            Self::Foxglove(ImageMessage::Compressed) => "foxglove.CompressedImage",
            Self::Foxglove(ImageMessage::Video) => "foxglove.CompressedVideo",
            Self::RosImage => "sensor_msgs/msg/Image",
            Self::RosCompressedImage => "sensor_msgs/msg/CompressedImage",
        }
    }
}

/// Content of the messages of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Header, detections and times of a frame as the camera sent them.
    Wire,
    /// Boxes to draw.
    Boxes,
    /// Pictures.
    Image(ImageSchema),
}

/// A channel as the file declares it.
#[derive(Debug, PartialEq, Eq)]
struct Declared {
    topic: String,
    role: Option<Role>,
    /// Schema and encoding, for error messages.
    format: String,
}

#[derive(Debug)]
struct Camera {
    info: CameraInfo,
    /// It has a wire channel. Otherwise frames are made from its image messages.
    wire: bool,
    boxes: bool,
    /// Topic of its pictures, if it was found by that topic.
    topic: Option<String>,
    /// The first of its channel numbers according to its metadata.
    first: Option<u16>,
}

/// The channels and cameras of a file.
#[derive(Debug, Default)]
pub(super) struct Channels {
    schemas: BTreeMap<u16, String>,
    declared: BTreeMap<u16, Declared>,
    roles: HashMap<u16, (usize, Role)>,
    cameras: Vec<Camera>,
    by_name: HashMap<String, usize>,
    /// The first channel numbers of cameras in metadata: valid where the file does not declare these channels.
    first: HashMap<u16, usize>,
    /// Cameras beyond [`CAMERAS_MAX`].
    beyond: usize,
    /// The file is as oaktap wrote it: the numbers in metadata, which have checksums, take precedence over channel records.
    own_numbers: bool,
    resolved: bool,
}

impl Channels {
    /// Takes a schema, a channel, or the metadata of a camera.
    pub(super) fn record(&mut self, opcode: u8, data: &[u8]) {
        match (opcode, mcap_record::parse(opcode, data)) {
            (op::SCHEMA, Some(Record::Schema { header, .. })) => {
                self.schemas.insert(header.id, header.name);
            }
            (op::CHANNEL, Some(Record::Channel(channel))) => self.channel(channel),
            _ => {}
        }
    }

    fn channel(&mut self, channel: Channel) {
        let Channel { id, schema_id, topic, message_encoding, .. } = channel;
        let schema = self.schemas.get(&schema_id).map_or("", |name| name.as_str());
        let role = match (schema, message_encoding.as_str()) {
            (WIRE_SCHEMA, "protobuf") => Some(Role::Wire),
            ("foxglove.ImageAnnotations", "protobuf") => Some(Role::Boxes),
            _ => ImageSchema::of(schema, &message_encoding).map(Role::Image),
        };
        let format = format!("{schema}, {message_encoding}");
        let new = Declared { topic, role, format };
        if self.declared.get(&id) != Some(&new) {
            self.declared.insert(id, new);
            self.roles.remove(&id);
            if self.resolved {
                self.assign(id);
            }
        }
    }

    /// Adds a camera by its metadata. `first` is the first of its channel numbers in the file that oaktap wrote.
    pub(super) fn add(&mut self, info: CameraInfo, first: Option<u16>) {
        let before = self.cameras.len();
        let Some(camera) = self.camera(&info.name) else { return };
        let known = &mut self.cameras[camera];
        if known.info.address.is_empty() {
            known.info.address = info.address;
        }
        if let Some(labels) = info.labels {
            known.info.labels.get_or_insert(labels);
        }
        known.first = known.first.or(first);
        known.wire |= self.resolved && camera == before;
        if let Some(first) = first {
            self.first.entry(first).or_insert(camera);
        }
    }

    /// Returns the number of the camera of this name. Adds it if it is new; `None` if there are too many.
    fn camera(&mut self, name: &str) -> Option<usize> {
        if let Some(known) = self.by_name.get(name) {
            return Some(*known);
        }
        if self.cameras.len() == CAMERAS_MAX {
            self.beyond += 1;
            return None;
        }
        let number = self.cameras.len();
        let info = CameraInfo { name: name.to_owned(), ..CameraInfo::default() };
        self.cameras.push(Camera { info, wire: false, boxes: false, topic: None, first: None });
        self.by_name.insert(name.to_owned(), number);
        Some(number)
    }

    /// Adds a camera that neither metadata nor topics name, in a damaged file of oaktap.
    pub(super) fn add_unnamed(&mut self, channel: u16) -> Option<usize> {
        let camera = self.camera(&format!("camera-{}", channel / CHANNELS + 1))?;
        self.cameras[camera].wire = true;
        self.first.insert(channel - channel % CHANNELS, camera);
        Some(camera)
    }

    /// Assigns the declared channels to cameras, once all of them are known. Channels that are declared later are
    /// assigned at once. `own_numbers`: the file is as oaktap wrote it, so that the numbers in metadata are valid.
    pub(super) fn resolve(&mut self, own_numbers: bool) {
        self.own_numbers = own_numbers;
        let of = |declared: &BTreeMap<u16, Declared>, wanted: fn(&Role) -> bool| -> Vec<u16> {
            declared.iter().filter(|(_, it)| it.role.as_ref().is_some_and(wanted)).map(|(id, _)| *id).collect()
        };
        let wires = of(&self.declared, |role| *role == Role::Wire);
        let images = of(&self.declared, |role| matches!(role, Role::Image(_)));
        let boxes = of(&self.declared, |role| *role == Role::Boxes);
        wires.into_iter().chain(images).chain(boxes).for_each(|id| self.assign(id));
        let mut has_image = vec![false; self.cameras.len()];
        self.roles
            .values()
            .filter(|(_, role)| matches!(role, Role::Image(_)))
            .for_each(|(owner, _)| has_image[*owner] = true);
        for (camera, has_image) in self.cameras.iter_mut().zip(has_image) {
            // Of a camera without channels only the metadata is known: its channels are inside chunks.
            camera.wire |= !has_image;
        }
        self.resolved = true;
    }

    fn assign(&mut self, id: u16) {
        if self.own_numbers && self.assumed(id).is_some() {
            return;
        }
        let Some(Declared { topic, role: Some(role), .. }) = self.declared.get(&id) else { return };
        let (topic, role) = (topic.clone(), *role);
        let camera = match role {
            Role::Wire => self.camera(&own_name(&topic, "wire").unwrap_or_else(|| readable(&topic))),
            Role::Image(_) => match own_name(&topic, "image").and_then(|name| self.by_name.get(&name).copied()) {
                Some(known) => {
                    self.cameras[known].topic.get_or_insert_with(|| topic.clone());
                    Some(known)
                }
                None => self.camera_of_topic(&topic),
            },
            Role::Boxes => {
                let own = own_name(&topic, "detections").and_then(|name| self.by_name.get(&name).copied());
                own.or_else(|| self.nearest(&topic))
            }
        };
        let Some(camera) = camera else { return };
        match role {
            Role::Wire => self.cameras[camera].wire = true,
            Role::Boxes => self.cameras[camera].boxes = true,
            Role::Image(_) => {}
        }
        self.roles.insert(id, (camera, role));
    }

    /// Returns the camera of a topic with pictures of another program. Its name is the topic without the parts that say
    /// only that it has pictures, unless another camera has that name.
    fn camera_of_topic(&mut self, topic: &str) -> Option<usize> {
        let whole = topic.trim_matches('/');
        let mut short = whole;
        while let Some((before, last)) = short.rsplit_once('/') {
            if !IMAGE_TOPICS.contains(&last) {
                break;
            }
            short = before;
        }
        let taken = |name: &str| {
            let known = self.by_name.get(name).map(|known| &self.cameras[*known]);
            known
                .is_some_and(|camera| camera.topic.as_deref() != Some(topic) && (camera.wire || camera.topic.is_some()))
        };
        let name = if taken(&readable(short)) { whole } else { short };
        let camera = self.camera(&readable(name))?;
        self.cameras[camera].topic.get_or_insert_with(|| topic.to_owned());
        Some(camera)
    }

    /// Returns the camera whose topic of pictures has the longest beginning in common with the topic of these boxes, or
    /// the only camera. `None` if several match equally well.
    fn nearest(&self, topic: &str) -> Option<usize> {
        let cameras = || self.cameras.iter().enumerate().filter_map(|(n, camera)| Some((n, camera.topic.as_deref()?)));
        let common = |other: &str| {
            let pairs = topic.trim_matches('/').split('/').zip(other.trim_matches('/').split('/'));
            pairs.take_while(|(a, b)| a == b).count()
        };
        if let (Some((only, _)), None) = (cameras().next(), cameras().nth(1)) {
            return Some(only);
        }
        let best = cameras().map(|(_, other)| common(other)).max().filter(|best| *best > 0)?;
        let mut found = cameras().filter(|(_, other)| common(other) == best);
        let (first, _) = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Returns camera and content of a channel; `None` for channels of other data.
    pub(super) fn role(&self, channel: u16) -> Option<(usize, Role)> {
        if let Some(known) = self.roles.get(&channel) {
            return Some(*known);
        }
        if self.declared.contains_key(&channel) && !self.own_numbers {
            return None;
        }
        self.assumed(channel)
    }

    /// Returns what a channel is according to the metadata of its camera.
    fn assumed(&self, channel: u16) -> Option<(usize, Role)> {
        let first = (0..CHANNELS).find_map(|back| Some((back, *self.first.get(&channel.checked_sub(back)?)?)));
        let (relative, camera) = first?;
        let image = ImageMessage::ALL.into_iter().find(|message| image_channel(*message) == relative);
        let role = match (relative, image) {
            (_, Some(message)) => Role::Image(ImageSchema::Foxglove(message)),
            (0, None) => Role::Wire,
            _ => Role::Boxes,
        };
        Some((camera, role))
    }

    /// Returns whether the file declares a channel of this number.
    pub(super) fn is_declared(&self, channel: u16) -> bool {
        self.declared.contains_key(&channel)
    }

    /// Returns whether a channel has the numbers of a camera for other programs.
    pub(super) fn is_of_numbers(&self, channel: u16) -> bool {
        self.declared.get(&channel).is_some_and(|declared| declared.format.split(',').next() == Some(NUMBER_SCHEMA))
    }

    /// Topic of a channel; empty if the file does not declare it.
    pub(super) fn topic(&self, channel: u16) -> &str {
        self.declared.get(&channel).map_or("", |declared| &declared.topic)
    }

    /// Returns whether the file declares channels outside of its chunks.
    pub(super) fn any_declared(&self) -> bool {
        !self.declared.is_empty()
    }

    /// The numbers of all channels that belong to a camera.
    pub(super) fn numbers(&self) -> Vec<u16> {
        let assumed = self.first.keys().flat_map(|first| *first..first.saturating_add(CHANNELS));
        self.roles
            .keys()
            .copied()
            .chain(assumed.filter(|id| self.own_numbers || !self.declared.contains_key(id)))
            .collect()
    }

    /// Returns whether the frames of a camera are those that the camera sent, and not made from image messages.
    pub(super) fn has_wire(&self, camera: usize) -> bool {
        self.cameras[camera].wire
    }

    /// Returns whether a camera has a channel of boxes.
    pub(super) fn has_boxes(&self, camera: usize) -> bool {
        self.cameras[camera].boxes
    }

    pub(super) fn cameras(&self) -> impl ExactSizeIterator<Item = &CameraInfo> {
        self.cameras.iter().map(|camera| &camera.info)
    }

    /// Number of all cameras, if that is more than [`CAMERAS_MAX`].
    pub(super) fn too_many(&self) -> Option<usize> {
        (self.beyond > 0).then(|| self.cameras.len() + self.beyond)
    }

    /// Adds a camera whose metadata is damaged. No names are assumed for its classes, since it may have had some.
    pub(super) fn add_damaged(&mut self, name: &str) {
        let info = CameraInfo { name: readable(name), labels: Some(LabelMap::unnamed()), ..CameraInfo::default() };
        self.add(info, None);
    }

    /// Describes the channels of a file without cameras.
    pub(super) fn describe(&self) -> String {
        if self.declared.is_empty() {
            return "a file that ends before its first topic".to_owned();
        }
        let listed = self.declared.values().take(LISTED_TOPICS);
        let listed: Vec<_> = listed.map(|Declared { topic, format, .. }| format!("{topic} ({format})")).collect();
        let more = self.declared.len().saturating_sub(LISTED_TOPICS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the topics {}{more}", listed.join(", "))
    }
}

/// Returns the camera's name in a topic of oaktap, such as `cam` in `/cam/wire`.
fn own_name(topic: &str, last: &str) -> Option<String> {
    let name = topic.strip_prefix('/')?.strip_suffix(last)?.strip_suffix('/')?;
    (!name.is_empty()).then(|| readable(name))
}

/// Replaces the characters that cannot be in names of threads, files and topics.
fn readable(name: &str) -> String {
    let name = name.replace(|c: char| c == '/' || c.is_control(), "_");
    if name.is_empty() { "camera".to_owned() } else { name }
}

/// Parses the metadata of a camera. Returns it with the first of its channel numbers.
pub(super) fn camera_info(metadata: &Metadata) -> (CameraInfo, Option<u16>) {
    let get = |key: &str| metadata.metadata.get(key).cloned().unwrap_or_default();
    let labels = serde_json::from_str::<BTreeMap<u32, String>>(&get("labels")).ok();
    let labels = labels.map(|names| {
        let mut labels = LabelMap::default();
        names.iter().for_each(|(label, name)| labels.insert(*label, name));
        labels
    });
    let info = CameraInfo { name: readable(&get("name")), address: get("address"), labels };
    (info, get("channel").parse().ok())
}
