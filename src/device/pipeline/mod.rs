//! From an application to its package.
//!
//! ```text
//! with a model   camera.preview [-> ImageManip: the model's size] -> DetectionNetwork -> Script.detections
//! raw            the network's passthrough -> Script.frame; camera.preview, without a network or where its input is fitted
//! encoded        camera.video, or camera.preview -> ImageManip: NV12 -> VideoEncoder -> Script.frame
//! always         SystemLogger -> Script.system; Script.control -> camera.inputControl
//! ```

use super::app::{App, Checked, Colour, Family, Fit, Model, Payload, Picture, Size, Video};
use super::nodes::{self, Settings};
use super::nodes::{
    BLOB, ColorCamera, ColorOrder, DetectionNetwork, Fitting, FrameType, IO, ImageManip, NeuralNetwork, Parser,
    Processor, Profile, SCRIPT, SystemLogger, VideoEncoder,
};
use super::schema::{End, Link, Node, Pipeline, store};
use super::script;
use crate::package::{PackageBuilder, PackageError};

/// The Script lends raw pictures from the camera's memory while it waits for their boxes and while clients take them. With
/// the vendor's 4 the camera would wait for the Script, and the Script for the boxes of pictures that were never taken.
const LENT_PICTURES: u64 = 10;
/// What they may take of the camera's memory, which is 512 MB for everything: large ones are fewer.
const LENT_BYTES: u64 = 64 << 20;
/// A picture that waits for the network is replaced by a newer one.
const NEWEST: i64 = 1;

/// What a camera boots, and which commit it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The preboot header and the image (bootloader.md 5).
    pub image: Vec<u8>,
    /// The commit, as the package tells it.
    pub commit: String,
}

/// Why there is no package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum PipelineError {
    /// The application has a model, and the model is not there, or the other way round.
    #[error("the application has {wanted} model, and {given} was given: give what its description names")]
    Model { wanted: &'static str, given: &'static str },
    /// Numbers are told in 32 bits.
    #[error("{what} is {found}: the firmware can be told {} at most", i32::MAX)]
    TooMuch { what: &'static str, found: u64 },
    /// The parts do not fit into one file.
    #[error("the package cannot be made")]
    Package(#[source] PackageError),
}

/// The sections of a package that tell what the firmware does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections {
    /// Nodes and links.
    pub pipeline: Vec<u8>,
    /// Where each file of a node is in the storage.
    pub assets: Vec<u8>,
    /// The files.
    pub asset_storage: Vec<u8>,
}

impl Sections {
    /// Nodes, links and files of an application: `blob` is its model, `text` what runs in the camera's Script.
    ///
    /// # Errors
    /// The model is missing, or there should be none, or it is too large.
    pub fn of(checked: &Checked<'_>, blob: Option<&[u8]>, text: &str) -> Result<Self, PipelineError> {
        let app = checked.app;
        let camera = camera(app);
        let fitted = fitted(checked)?;
        let converted = converted(app)?;
        let network = match (&app.model, blob) {
            (Some(model), Some(blob)) => Some(network(model, blob)?),
            (None, None) => None,
            (Some(_), None) => return Err(PipelineError::Model { wanted: "a", given: "none" }),
            (None, Some(_)) => return Err(PipelineError::Model { wanted: "no", given: "one" }),
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
            // The picture that the boxes are of, when they are told.
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

/// The package of an application: `blob` is its model, `text` what runs in the camera's Script.
///
/// # Errors
/// The model is missing, or there should be none, or it is too large.
pub fn package(
    checked: &Checked<'_>,
    blob: Option<&[u8]>,
    text: &str,
    firmware: Firmware,
    compressed: bool,
) -> Result<Vec<u8>, PipelineError> {
    let Sections { pipeline, assets, asset_storage } = Sections::of(checked, blob, text)?;
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
    fn add<S: Settings>(&mut self, settings: &'a S) -> i64 {
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
        color_order: match app.colour {
            Colour::Bgr => ColorOrder::Bgr,
            Colour::Rgb => ColorOrder::Rgb,
        },
        interleaved: false,
        preview_width: app.size.width,
        preview_height: app.size.height,
        preview_pool: if app.payload == Payload::Raw { lent(app.size) } else { usual.preview_pool },
        resolution: app.resolution.number(),
        fps: app.fps,
        ..usual
    }
}

/// Pictures of a raw preview that may be under way, the vendor's 4 at least.
fn lent(preview: Size) -> i32 {
    (LENT_BYTES / preview.pixels().saturating_mul(3).max(1)).clamp(4, LENT_PICTURES) as i32
}

/// What makes the model's input of a preview of another size.
fn fitted(checked: &Checked<'_>) -> Result<Option<ImageManip>, PipelineError> {
    let app = checked.app;
    let (Some(model), Some(input)) = (&app.model, checked.input) else { return Ok(None) };
    let fitting = match model.fit {
        // What was checked has that size, then.
        Fit::Same => return Ok(None),
        _ if input == app.size => return Ok(None),
        Fit::Letterbox => Fitting::Letterbox,
        Fit::Stretch => Fitting::Stretch,
        Fit::Crop => Fitting::Crop,
    };
    let frame_type = match app.colour {
        Colour::Bgr => FrameType::Bgr888p,
        Colour::Rgb => FrameType::Rgb888p,
    };
    Ok(Some(ImageManip {
        resize: Some((input.width, input.height, fitting)),
        frame_type: Some(frame_type),
        max_output_frame_size: number("the size of the model's input in bytes", input.pixels().saturating_mul(3))?,
    }))
}

/// What makes a picture for the encoder of a preview.
fn converted(app: &App) -> Result<Option<ImageManip>, PipelineError> {
    if app.payload == Payload::Raw || app.picture == Picture::Video {
        return Ok(None);
    }
    Ok(Some(ImageManip {
        frame_type: Some(FrameType::Nv12),
        max_output_frame_size: number("the size of a picture in bytes", app.size.pixels().saturating_mul(3) / 2)?,
        ..ImageManip::default()
    }))
}

fn number(what: &'static str, found: u64) -> Result<i32, PipelineError> {
    i32::try_from(found).map_err(|_| PipelineError::TooMuch { what, found })
}

fn network(model: &Model, blob: &[u8]) -> Result<DetectionNetwork, PipelineError> {
    let network = NeuralNetwork {
        blob_size: Some(number("the size of the model in bytes", blob.len() as u64)?.cast_unsigned()),
        num_threads: model.threads,
        blocking: false,
        queue_size: NEWEST,
        ..NeuralNetwork::default()
    };
    let parser = match &model.family {
        Family::Yolo { coordinates, iou, anchors, masks, .. } => Parser {
            classes: number("the number of classes", model.classes().into())?,
            coordinates: number("the number of coordinates", (*coordinates).into())?,
            anchors: anchors.clone(),
            iou_threshold: *iou,
            ..Parser::new(nodes::Family::Yolo)
                .with_masks(masks.iter().map(|(name, mask)| (name.as_str(), mask.as_slice())))
        },
        Family::Mobilenet => Parser::new(nodes::Family::MobileNet),
    };
    Ok(DetectionNetwork { network, parser: Parser { confidence_threshold: model.confidence, ..parser } })
}

fn encoder(app: &App) -> Result<Option<VideoEncoder>, PipelineError> {
    let video = |profile, Video { bitrate_kbps, keyframe_interval }| {
        Ok(Some(VideoEncoder {
            bitrate: number("the bit rate", 1000 * u64::from(bitrate_kbps))?,
            keyframe_frequency: number("the interval of key frames", keyframe_interval.into())?,
            ..VideoEncoder::preset(app.fps, profile)
        }))
    };
    match app.payload {
        Payload::Raw => Ok(None),
        Payload::Jpeg { quality } => {
            Ok(Some(VideoEncoder { quality: quality.into(), ..VideoEncoder::preset(app.fps, Profile::Mjpeg) }))
        }
        Payload::H264(settings) => video(Profile::H264Main, settings),
        Payload::H265(settings) => video(Profile::H265Main, settings),
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
