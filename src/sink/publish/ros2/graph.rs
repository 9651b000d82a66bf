//! How rmw_zenoh maps the graph of ROS 2 to Zenoh: key expressions, liveliness tokens and attachments (ros2/rmw_zenoh,
//! docs/design.md).

use std::fmt;
use std::str::FromStr;

/// Domain of ROS without `ROS_DOMAIN_ID`.
const DEFAULT_DOMAIN: u32 = 0;

/// The environment variable with the domain.
const DOMAIN_VARIABLE: &str = "ROS_DOMAIN_ID";

/// Length of the identifier of a publisher in bytes.
const GID_BYTES: usize = 16;

/// Distribution of ROS 2: they differ in the names of topics on the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RosDistro {
    /// 2022. Its messages have no type hashes.
    Humble,
    /// 2024.
    #[default]
    Jazzy,
    /// 2025.
    Kilted,
}

impl RosDistro {
    /// All distributions, the oldest first.
    pub const ALL: [Self; 3] = [Self::Humble, Self::Jazzy, Self::Kilted];

    /// Returns the name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Humble => "humble",
            Self::Jazzy => "jazzy",
            Self::Kilted => "kilted",
        }
    }
}

impl fmt::Display for RosDistro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is not one of [`RosDistro`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown distribution `{0}` of ROS 2; expected humble, jazzy or kilted")]
pub struct UnknownRosDistro(String);

impl FromStr for RosDistro {
    type Err = UnknownRosDistro;

    fn from_str(name: &str) -> Result<Self, UnknownRosDistro> {
        let known = Self::ALL.into_iter().find(|distro| distro.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| UnknownRosDistro(name.to_owned()))
    }
}

/// Type of a message that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageType {
    CompressedImage,
    Image,
    CameraInfo,
    Detections,
}

impl MessageType {
    /// Returns the end of its topic.
    pub(super) const fn topic(self) -> &'static str {
        match self {
            // Where image_transport looks for the transport `compressed` of `image`.
            Self::CompressedImage => "image/compressed",
            Self::Image => "image",
            Self::CameraInfo => "camera_info",
            Self::Detections => "detections",
        }
    }

    /// Returns its name in DDS.
    const fn name(self) -> &'static str {
        match self {
            Self::CompressedImage => "sensor_msgs::msg::dds_::CompressedImage_",
            Self::Image => "sensor_msgs::msg::dds_::Image_",
            Self::CameraInfo => "sensor_msgs::msg::dds_::CameraInfo_",
            Self::Detections => "vision_msgs::msg::dds_::Detection2DArray_",
        }
    }

    /// Returns the hash of its definition (REP 2016). A subscriber with another one gets no message.
    fn hash(self, distro: RosDistro) -> &'static str {
        match (distro, self) {
            (RosDistro::Humble, _) => "TypeHashNotSupported",
            (_, Self::CompressedImage) => "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
            (_, Self::Image) => "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
            (_, Self::CameraInfo) => "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
            (_, Self::Detections) => "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
        }
    }

    /// Returns the quality of service in a token: `reliability:durability:history,depth:deadline:lifespan:liveliness`, empty where
    /// it is the default. Ours is reliable, volatile, and keeps the last messages, as that of drivers of cameras.
    const fn qos(self) -> &'static str {
        match self {
            Self::CompressedImage | Self::Image => "::,1:,:,:,,",
            Self::CameraInfo | Self::Detections => "::,10:,:,:,,",
        }
    }
}

/// Returns the domain of ROS from the value of `ROS_DOMAIN_ID`.
///
/// # Errors
/// The value is not a number. The error says so.
pub(super) fn domain(value: Option<&str>) -> Result<u32, String> {
    match value.map(str::trim) {
        None | Some("") => Ok(DEFAULT_DOMAIN),
        Some(text) => text.parse().map_err(|_| format!("invalid {DOMAIN_VARIABLE} `{text}`; expected a number")),
    }
}

/// Returns the domain of ROS from the environment.
///
/// # Errors
/// As [`domain`].
pub(super) fn domain_of_environment() -> Result<u32, String> {
    match std::env::var_os(DOMAIN_VARIABLE) {
        Some(value) => domain(Some(&value.to_string_lossy())),
        None => domain(None),
    }
}

/// The node of this program in the graph of ROS.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) domain: u32,
    pub(super) distro: RosDistro,
    /// Identifier of the session, as Zenoh formats it.
    pub(super) session: String,
    /// Without slashes around it; may be empty.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Number of the node among those of its session. We have one.
const NODE_ID: u32 = 0;

impl Node {
    /// Returns the token with which a node is in the graph.
    pub(super) fn token(&self) -> String {
        format!("{}/{NODE_ID}/NN/{}", self.session_token(), self.identity())
    }

    /// Returns the token with which a publisher is in the graph. `id`: its number among all of the session, also of the node.
    pub(super) fn publisher_token(&self, id: u32, topic: &str, message: MessageType) -> String {
        let (name, hash, qos) = (message.name(), message.hash(self.distro), message.qos());
        let (session, identity, topic) = (self.session_token(), self.identity(), mangled(topic));
        format!("{session}/{id}/MP/{identity}/{topic}/{name}/{hash}/{qos}")
    }

    /// Returns the key on which the messages of a topic are published.
    pub(super) fn key(&self, topic: &str, message: MessageType) -> String {
        let topic = topic.trim_matches('/');
        format!("{}/{topic}/{}/{}", self.domain, message.name(), message.hash(self.distro))
    }

    fn session_token(&self) -> String {
        format!("@ros2_lv/{}/{}/{NODE_ID}", self.domain, self.session)
    }

    /// Enclave (none), namespace and name.
    fn identity(&self) -> String {
        let namespace = if self.namespace.is_empty() { "/".to_owned() } else { format!("/{}", self.namespace) };
        format!("%/{}/{}", mangled(&namespace), self.name)
    }
}

/// Returns a name as one part of a token.
fn mangled(name: &str) -> String {
    name.replace('/', "%")
}

/// Returns the attachment of a message; subscribers drop messages without it. `seq` counts the messages of a publisher from 1,
/// `gid` identifies it.
pub(super) fn attachment(seq: u64, sent_unix_ns: i64, gid: [u8; GID_BYTES]) -> [u8; 2 * 8 + 1 + GID_BYTES] {
    let mut bytes = [0; 2 * 8 + 1 + GID_BYTES];
    bytes[..8].copy_from_slice(&seq.to_le_bytes());
    bytes[8..16].copy_from_slice(&sent_unix_ns.to_le_bytes());
    bytes[16] = GID_BYTES as u8;
    bytes[17..].copy_from_slice(&gid);
    bytes
}

/// Returns an identifier of a publisher: that of the session, with the number of the publisher.
pub(super) fn gid(session: [u8; GID_BYTES], id: u32) -> [u8; GID_BYTES] {
    let mut gid = session;
    for (byte, of_id) in gid.iter_mut().zip(id.to_le_bytes()) {
        *byte ^= of_id;
    }
    gid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(namespace: &str, distro: RosDistro) -> Node {
        let (session, namespace, name) = ("a1b2".to_owned(), namespace.to_owned(), "oaktap_host".to_owned());
        Node { domain: 7, distro, session, namespace, name }
    }

    #[test]
    fn keys_and_tokens() {
        let jazzy = node("", RosDistro::Jazzy);
        let (topic, message) = ("/front/image/compressed", MessageType::CompressedImage);
        let hash = "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a";
        let name = "sensor_msgs::msg::dds_::CompressedImage_";
        assert_eq!(jazzy.key(topic, message), format!("7/front/image/compressed/{name}/{hash}"));
        assert_eq!(jazzy.token(), "@ros2_lv/7/a1b2/0/0/NN/%/%/oaktap_host");
        let token = format!("@ros2_lv/7/a1b2/0/3/MP/%/%/oaktap_host/%front%image%compressed/{name}/{hash}/::,1:,:,:,,");
        assert_eq!(jazzy.publisher_token(3, topic, message), token);

        let humble = node("site/a", RosDistro::Humble);
        let (topic, message) = ("/site/a/front/detections", MessageType::Detections);
        let name = "vision_msgs::msg::dds_::Detection2DArray_";
        assert_eq!(humble.key(topic, message), format!("7/site/a/front/detections/{name}/TypeHashNotSupported"));
        assert_eq!(humble.token(), "@ros2_lv/7/a1b2/0/0/NN/%/%site%a/oaktap_host");
        let token = format!(
            "@ros2_lv/7/a1b2/0/4/MP/%/%site%a/oaktap_host/%site%a%front%detections/{name}/TypeHashNotSupported/::,10:,:,:,,"
        );
        assert_eq!(humble.publisher_token(4, topic, message), token);
    }

    #[test]
    fn domains() {
        assert_eq!((domain(None), domain(Some("")), domain(Some(" 42 "))), (Ok(0), Ok(0), Ok(42)));
        assert_eq!(domain(Some("-1")), Err("invalid ROS_DOMAIN_ID `-1`; expected a number".to_owned()));
        assert!(domain(Some("lab")).is_err());
    }

    #[test]
    fn distributions() {
        for distro in RosDistro::ALL {
            assert_eq!(distro.to_string().parse(), Ok(distro));
        }
        let error = "iron".parse::<RosDistro>().unwrap_err().to_string();
        assert_eq!(error, "unknown distribution `iron` of ROS 2; expected humble, jazzy or kilted");
    }

    #[test]
    fn attachments_are_little_endian() {
        let bytes = attachment(1, 0x0102, gid([0xff; 16], 1));
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..17], [2, 1, 0, 0, 0, 0, 0, 0, 16]);
        assert_eq!(bytes[17..19], [0xfe, 0xff]);
        assert_ne!(gid([0; 16], 1), gid([0; 16], 2));
    }
}
