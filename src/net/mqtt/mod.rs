//! Connections to MQTT brokers, for those who subscribe and those who publish.

mod client;
mod error;

pub(crate) use client::{Client, Message, Opening, SkippedMessage, identifier};
pub use error::MqttError;
pub(crate) use error::{ClientError, GONE_HELP};
