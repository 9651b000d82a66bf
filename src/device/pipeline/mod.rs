//! Builds the package of an application.
//!
//! ```text
//! with a model   camera.preview [-> ImageManip: the model's size] -> DetectionNetwork -> Script.detections
//! raw            network.passthrough -> Script.frame; without a network, or with a fitted input: camera.preview
//! encoded        camera.video, or camera.preview -> ImageManip: NV12 -> VideoEncoder -> Script.frame
//! always         SystemLogger -> Script.system; Script.control -> camera.inputControl
//! ```

use super::app::{App, CameraOutput, CheckedApp, Fit, Model, ModelFamily, PayloadCoding, PlaneOrder, Size, Video};
use super::nodes::{self, NodeSettings};
use super::nodes::{
    BLOB, ColorCamera, ColorOrder, DetectionNetwork, Fitting, FrameType, IO, ImageManip, NeuralNetwork, Parser,
    Processor, Profile, SCRIPT, SystemLogger, VideoEncoder,
};
use super::schema::{End, Link, Node, Pipeline, store};
use super::script;
use crate::package::{PackageBuilder, PackageError};

/// Buffers of raw previews. The Script keeps them while it waits for their boxes and while clients receive them. With the
/// vendor's 4, camera and Script wait for each other: the camera for a free buffer, the Script for the boxes of pictures
/// that the camera could not take.
const PREVIEW_BUFFERS_MAX: u64 = 10;
/// Limit of their memory. The camera has 512 MB for everything.
const PREVIEW_BUFFER_BYTES_MAX: u64 = 64 << 20;
/// Queue size of the network: a newer picture replaces the one that waits.
const NETWORK_QUEUE_SIZE: i64 = 1;

/// The firmware section of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The preboot header and the image (bootloader.md 5).
    pub image: Vec<u8>,
    /// The commit in the package.
    pub commit: String,
}

/// Reason for not building a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum PipelineError {
    /// The application has a model and no blob was passed, or the other way round.
    #[error("the application has {expected} model, but {found} was passed")]
    Model { expected: &'static str, found: &'static str },
    /// The firmware's numbers have 32 bits.
    #[error("{what} is {found}, expected at most {}", i32::MAX)]
    TooLarge { what: &'static str, found: u64 },
    /// The sections do not fit into one file.
    #[error("the package cannot be built")]
    Package(#[source] PackageError),
}

/// The sections of a package that configure the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSections {
    /// Nodes and links.
    pub pipeline: Vec<u8>,
    /// Keys and places of the nodes' files.
    pub assets: Vec<u8>,
    /// Content of the nodes' files.
    pub asset_storage: Vec<u8>,
}

impl PipelineSections {
    /// Builds the sections. `blob` is the model, `text` the Script's program.
    ///
    /// # Errors
    /// See [`PipelineError`].
    pub fn of(checked: &CheckedApp<'_>, blob: Option<&[u8]>, text: &str) -> Result<Self, PipelineError> {
        let app = checked.app;
        let camera = camera(app);
        let fitted = fitted(checked)?;
        let converted = converted(app)?;
        let network = match (&app.model, blob) {
            (Some(model), Some(blob)) => Some(network(model, blob)?),
            (None, None) => None,
            (Some(_), None) => return Err(PipelineError::Model { expected: "a", found: "none" }),
            (None, Some(_)) => return Err(PipelineError::Model { expected: "no", found: "one" }),
        };
        let encoder = encoder(app)?;
        let logger = SystemLogger::default();
        let program = script_node(app);

        let mut graph = Graph(Pipeline::usual());
        let camera = graph.add(&camera);
        let fitted = fitted.as_ref().map(|manip| graph.add(manip));
        let converted = converted.as_ref().map(|manip| graph.add(manip));
        let network = network.as_ref().map(|network| graph.add(network));
        let encoder = encoder.as_ref().map(|encoder| graph.add(encoder));
        let logger = graph.add(&logger);
        let program = graph.add(&program);

        let frame = (program, IO, "frame");
        if let Some(network) = network {
            match fitted {
                Some(manip) => {
                    graph.link((camera, "", "preview"), (manip, "", "inputImage"));
                    graph.link((manip, "", "out"), (network, "", "in"));
                }
                None => graph.link((camera, "", "preview"), (network, "", "in")),
            }
            graph.link((network, "", "out"), (program, IO, "detections"));
        }
        match (encoder, converted, network) {
            (Some(encoder), Some(manip), _) => {
                graph.link((camera, "", "preview"), (manip, "", "inputImage"));
                graph.link((manip, "", "out"), (encoder, "", "in"));
                graph.link((encoder, "", "bitstream"), frame);
            }
            (Some(encoder), None, _) => {
                graph.link((camera, "", "video"), (encoder, "", "in"));
                graph.link((encoder, "", "bitstream"), frame);
            }
            // The passthrough sends a picture together with its boxes.
            (None, _, Some(network)) if fitted.is_none() => graph.link((network, "", "passthrough"), frame),
            (None, ..) => graph.link((camera, "", "preview"), frame),
        }
        graph.link((logger, "", "out"), (program, IO, "system"));
        graph.link((program, IO, script::OUTPUT), (camera, "", "inputControl"));

        // The vendor's library takes the newest node first.
        let mut files = vec![(format!("/node/{program}/{SCRIPT}"), text.as_bytes())];
        files.extend(network.zip(blob).map(|(network, blob)| (format!("/node/{network}/{BLOB}"), blob)));
        let (assets, asset_storage) = store(&files);
        Ok(Self { pipeline: graph.0.section(), assets, asset_storage })
    }
}

/// Builds the package of an application. `blob` is the model, `text` the Script's program.
///
/// # Errors
/// See [`PipelineError`].
pub fn package(
    checked: &CheckedApp<'_>,
    blob: Option<&[u8]>,
    text: &str,
    firmware: Firmware,
    compressed: bool,
) -> Result<Vec<u8>, PipelineError> {
    let PipelineSections { pipeline, assets, asset_storage } = PipelineSections::of(checked, blob, text)?;
    let builder = PackageBuilder::new(firmware.image)
        .pipeline(pipeline)
        .assets(assets)
        .asset_storage(asset_storage)
        .firmware_version(firmware.commit)
        .app_name(checked.contract().to_string());
    let builder = if compressed { builder.compressed() } else { builder };
    builder.build().map_err(PipelineError::Package)
}

struct Graph<'a>(Pipeline<'a>);

impl<'a> Graph<'a> {
    fn add<S: NodeSettings>(&mut self, settings: &'a S) -> i64 {
        let id = self.0.nodes.len() as i64;
        let (properties, ports) = (settings.properties(), settings.ports());
        self.0.nodes.push(Node { id, name: S::KIND.to_owned(), properties, ports });
        id
    }

    fn link(&mut self, from: (i64, &str, &str), to: (i64, &str, &str)) {
        let [from, to] =
            [from, to].map(|(node, group, port)| End { node, group: group.to_owned(), port: port.to_owned() });
        self.0.links.push(Link { from, to });
    }
}

fn camera(app: &App) -> ColorCamera {
    let usual = ColorCamera::default();
    ColorCamera {
        image_orientation: app.orientation.number(),
        color_order: match app.plane_order {
            PlaneOrder::Bgr => ColorOrder::Bgr,
            PlaneOrder::Rgb => ColorOrder::Rgb,
        },
        interleaved: false,
        preview_width: app.size.width,
        preview_height: app.size.height,
        preview_pool: if app.payload == PayloadCoding::Raw { preview_buffers(app.size) } else { usual.preview_pool },
        resolution: app.resolution.number(),
        fps: app.fps,
        ..usual
    }
}

/// At least the vendor's 4.
fn preview_buffers(preview: Size) -> i32 {
    (PREVIEW_BUFFER_BYTES_MAX / preview.pixels().saturating_mul(3).max(1)).clamp(4, PREVIEW_BUFFERS_MAX) as i32
}

/// The node that converts the preview to the size of the model's input, if they differ.
fn fitted(checked: &CheckedApp<'_>) -> Result<Option<ImageManip>, PipelineError> {
    let app = checked.app;
    let (Some(model), Some(input)) = (&app.model, checked.input) else { return Ok(None) };
    let fitting = match model.fit {
        // `App::check` made sure that the sizes are equal.
        Fit::Same => return Ok(None),
        _ if input == app.size => return Ok(None),
        Fit::Letterbox => Fitting::Letterbox,
        Fit::Stretch => Fitting::Stretch,
        Fit::Crop => Fitting::Crop,
    };
    let frame_type = match app.plane_order {
        PlaneOrder::Bgr => FrameType::Bgr888p,
        PlaneOrder::Rgb => FrameType::Rgb888p,
    };
    Ok(Some(ImageManip {
        resize: Some((input.width, input.height, fitting)),
        frame_type: Some(frame_type),
        max_output_frame_size: number("the size of the model's input in bytes", input.pixels().saturating_mul(3))?,
    }))
}

/// The node that converts the preview to the encoder's format.
fn converted(app: &App) -> Result<Option<ImageManip>, PipelineError> {
    if app.payload == PayloadCoding::Raw || app.picture == CameraOutput::Video {
        return Ok(None);
    }
    Ok(Some(ImageManip {
        frame_type: Some(FrameType::Nv12),
        max_output_frame_size: number("the size of a picture in bytes", app.size.pixels().saturating_mul(3) / 2)?,
        ..ImageManip::default()
    }))
}

fn number(what: &'static str, found: u64) -> Result<i32, PipelineError> {
    i32::try_from(found).map_err(|_| PipelineError::TooLarge { what, found })
}

fn network(model: &Model, blob: &[u8]) -> Result<DetectionNetwork, PipelineError> {
    let network = NeuralNetwork {
        blob_size: Some(number("the size of the model in bytes", blob.len() as u64)?.cast_unsigned()),
        num_threads: model.threads,
        blocking: false,
        queue_size: NETWORK_QUEUE_SIZE,
        ..NeuralNetwork::default()
    };
    let parser = match &model.family {
        ModelFamily::Yolo { coordinates, iou, anchors, masks, .. } => Parser {
            classes: number("the number of classes", model.classes().into())?,
            coordinates: number("the number of coordinates", (*coordinates).into())?,
            anchors: anchors.clone(),
            iou_threshold: *iou,
            ..Parser::new(nodes::Family::Yolo)
                .with_masks(masks.iter().map(|(name, mask)| (name.as_str(), mask.as_slice())))
        },
        ModelFamily::Mobilenet => Parser::new(nodes::Family::MobileNet),
    };
    Ok(DetectionNetwork { network, parser: Parser { confidence_threshold: model.confidence, ..parser } })
}

fn encoder(app: &App) -> Result<Option<VideoEncoder>, PipelineError> {
    let video = |profile, Video { bitrate_kbps, keyframe_interval }| {
        Ok(Some(VideoEncoder {
            bitrate: number("the bit rate", 1000 * u64::from(bitrate_kbps))?,
            keyframe_frequency: number("the key-frame interval", keyframe_interval.into())?,
            ..VideoEncoder::preset(app.fps, profile)
        }))
    };
    match app.payload {
        PayloadCoding::Raw => Ok(None),
        PayloadCoding::Jpeg { quality } => {
            Ok(Some(VideoEncoder { quality: quality.into(), ..VideoEncoder::preset(app.fps, Profile::Mjpeg) }))
        }
        PayloadCoding::H264(settings) => video(Profile::H264Main, settings),
        PayloadCoding::H265(settings) => video(Profile::H265Main, settings),
    }
}

fn script_node(app: &App) -> nodes::Script {
    let node = nodes::Script::new(Processor::LeonCss);
    let node =
        script::inputs(app).iter().fold(node, |node, input| node.input(input.name, input.blocking, input.queue_size));
    node.output(script::OUTPUT)
}

#[cfg(test)]
mod tests;
