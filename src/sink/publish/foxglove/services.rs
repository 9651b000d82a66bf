//! Services of a camera that clients call: a picture now.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use foxglove::Schema;
use foxglove::websocket::service::{Service, ServiceSchema};
use serde::Serialize;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::error::with_causes;
use crate::sink::publish::picture::PictureMaker;

/// Longest wait for the next picture.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(10);

/// Encoding of requests and answers.
pub(super) const ENCODING: &str = "json";

const REQUEST: &str = r#"{"type":"object","properties":{}}"#;

const SNAPSHOT: &str = r#"{"type":"object","properties":{"camera":{"type":"string"},"format":{"type":"string"},"data":{"type":"string","contentEncoding":"base64"}}}"#;

/// A picture.
#[derive(Serialize)]
struct Snapshot<'a> {
    camera: &'a str,
    /// Always `jpeg`.
    format: &'a str,
    /// The file in Base64.
    data: String,
}

/// Returns the name of the service for pictures of a camera. `name`: its name in topics.
pub(super) fn snapshot_name(name: &str) -> String {
    format!("/{name}/snapshot")
}

/// Returns the service for pictures of a camera: it answers with the next one.
pub(super) fn snapshot(name: &str, pictures: Arc<PictureMaker>) -> Service {
    let schema = |name: &str, schema: &'static str| Schema::new(name, "jsonschema", schema.as_bytes());
    let described = ServiceSchema::new("oaktap.Snapshot")
        .with_request(ENCODING, schema("oaktap.SnapshotRequest", REQUEST))
        .with_response(ENCODING, schema("oaktap.Snapshot", SNAPSHOT));
    Service::builder(snapshot_name(name), described).async_handler_fn(move |_| take(Arc::clone(&pictures)))
}

async fn take(pictures: Arc<PictureMaker>) -> Result<Vec<u8>, String> {
    let (answer, mut answers) = unbounded_channel();
    pictures.request(answer);
    let taken = timeout(PICTURE_TIMEOUT, answers.recv()).await;
    let Ok(Some(taken)) = taken else {
        return Err(format!("the camera sent no picture within {} s", PICTURE_TIMEOUT.as_secs()));
    };
    let file = taken.file.map_err(|error| with_causes(&error))?;
    let snapshot = Snapshot { camera: &taken.camera, format: "jpeg", data: BASE64_STANDARD.encode(file) };
    // Strings: serializing them cannot fail.
    Ok(serde_json::to_vec(&snapshot).unwrap_or_default())
}
