//! The options of an application, which override the configuration file.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use oaktap::device::app::{
    App, CameraOutput, Fit, Model, ModelFamily, Orientation, PayloadCoding, PlaneOrder, Resolution, Size, Transport,
    Video,
};
use serde::Deserialize;

use super::ConfigFile;
use crate::cli::label_file::read_labels;
use crate::cli::plain_words;
use crate::cli::present::{Usage, advised};
use crate::cli::value_parsers::{self, one_of};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Encoding {
    Raw,
    Jpeg,
    H264,
    H265,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FamilyName {
    Yolo,
    Mobilenet,
}

const APPLICATION: &str = "Application";
const MODEL: &str = "Model";

/// The configuration file, which names cameras too: unlike the other options, it goes with a package that is there already.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigFileArgs {
    /// Configuration file; command-line options override it
    #[arg(long, value_name = "oaktap.toml", help_heading = APPLICATION)]
    pub(crate) config: Option<PathBuf>,
}

/// The options of an application that is built.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ApplicationArgs {
    /// Send pictures without running a model
    #[arg(long, conflicts_with = "model", help_heading = APPLICATION)]
    camera_only: bool,

    /// Name of the application [default: oaktap]
    #[arg(long, help_heading = APPLICATION)]
    name: Option<String>,

    /// Size of the preview, which is the picture that the model gets [default: 640x352]
    #[arg(long, value_name = "WxH", help_heading = APPLICATION)]
    size: Option<Size>,

    /// Frames per second [default: 30]
    #[arg(long, value_name = "N", help_heading = APPLICATION)]
    fps: Option<f32>,

    /// Resolution of the sensor [default: 1080p]
    #[arg(long, value_name = "NAME", help_heading = APPLICATION,
          value_parser = one_of(Resolution::ALL.iter().map(|(name, _)| *name), resolution))]
    resolution: Option<Resolution>,

    /// Order of the color channels: bgr or rgb [default: bgr]
    #[arg(long, value_name = "ORDER", help_heading = APPLICATION, hide_possible_values = true,
          value_parser = one_of(["bgr", "rgb"], word::<PlaneOrder>))]
    channel_order: Option<PlaneOrder>,

    /// Orientation of the picture: auto, normal, mirror, flip or rotate180 [default: auto]
    #[arg(long, value_name = "ORIENTATION", help_heading = APPLICATION, hide_possible_values = true,
          value_parser = one_of(["auto", "normal", "mirror", "flip", "rotate180"], word::<Orientation>))]
    orientation: Option<Orientation>,

    /// Encoding of the pictures; raw is uncompressed [default: raw]
    #[arg(long, value_name = "ENCODING", help_heading = APPLICATION)]
    payload: Option<Encoding>,

    /// Send the full picture of the sensor, encoded, in place of the preview
    #[arg(long, help_heading = APPLICATION)]
    video: bool,

    /// JPEG quality, from 1 to 100 [default: 95]
    #[arg(long, value_name = "N", help_heading = APPLICATION)]
    quality: Option<u8>,

    /// Bit rate of H.264 and H.265, in kbit/s; 0 lets the camera choose [default: 0]
    #[arg(long, value_name = "KBPS", help_heading = APPLICATION)]
    bitrate: Option<u32>,

    /// Key-frame interval of H.264 and H.265, in frames [default: 30]
    #[arg(long, value_name = "N", help_heading = APPLICATION)]
    keyframes: Option<u32>,

    /// Transport of the stream: tcp, or udp for datagrams to --host [default: tcp]
    #[arg(long, value_name = "TRANSPORT", help_heading = APPLICATION, hide_possible_values = true,
          value_parser = one_of(["tcp", "udp"], word::<Transport>))]
    transport: Option<Transport>,

    /// Port on which the camera listens, or to which it connects or sends with --host [default: 5000]
    #[arg(long, value_name = "PORT", help_heading = APPLICATION)]
    port: Option<u16>,

    /// Host to which the camera connects or sends, instead of listening
    #[arg(long, value_name = "IP", help_heading = APPLICATION)]
    host: Option<Ipv4Addr>,

    /// Compiled model, a .blob file
    #[arg(long, value_name = "FILE.blob", help_heading = MODEL)]
    model: Option<PathBuf>,

    /// Family of the model: YOLO v3 to v8, or MobileNet-SSD [default: yolo]
    #[arg(long, help_heading = MODEL)]
    family: Option<FamilyName>,

    /// Drop detections below this confidence, such as 0.6 or 60% [default: 0.5]
    #[arg(long, value_name = "CONFIDENCE", value_parser = value_parsers::fraction, help_heading = MODEL)]
    threshold: Option<f32>,

    /// YOLO: merge boxes whose overlap (intersection over union) is above this [default: 0.5]
    #[arg(long, value_name = "FRACTION", value_parser = value_parsers::fraction, help_heading = MODEL)]
    iou: Option<f32>,

    /// YOLO: number of classes [default: the number of labels, or 80]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    classes: Option<u32>,

    /// YOLO: number of coordinates per box [default: 4]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    coordinates: Option<u32>,

    /// YOLO 3, 4, 5 and 7: width and height of each anchor, such as 10,14,23,27
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = MODEL)]
    anchors: Vec<f32>,

    /// YOLO 3, 4, 5 and 7: anchors of one output, such as side26=1,2,3; repeatable
    #[arg(long, value_name = "SIDE=LIST", value_parser = mask, help_heading = MODEL)]
    mask: Vec<(String, Vec<i32>)>,

    /// File with the names of classes: one per line, data.yaml or JSON
    #[arg(long, value_name = "FILE", help_heading = MODEL)]
    labels: Option<PathBuf>,

    /// Inference threads on the camera, 1 or 2 [default: 2]
    #[arg(long, value_name = "N", help_heading = MODEL)]
    threads: Option<u32>,

    /// Input size of the model, if the blob does not state it
    #[arg(long, value_name = "WxH", help_heading = MODEL)]
    model_input: Option<Size>,

    /// Fit the preview to the input of the model by adding black bars
    #[arg(long, group = "fit", help_heading = MODEL)]
    letterbox: bool,

    /// Fit the preview to the input of the model by changing its aspect ratio
    #[arg(long, group = "fit", help_heading = MODEL)]
    stretch: bool,

    /// Fit the preview to the input of the model by cutting off its edges
    #[arg(long, group = "fit", help_heading = MODEL)]
    crop: bool,
}

/// Parses a value in the spelling of oaktap.toml.
fn word<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};
    let word: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(word).map_err(|error| plain_words::setting(&error.to_string()))
}

fn resolution(text: &str) -> Result<Resolution, String> {
    let known = Resolution::ALL.iter().find(|(name, _)| *name == text);
    known.map(|(_, resolution)| *resolution).ok_or_else(|| {
        let names: Vec<_> = Resolution::ALL.iter().map(|(name, _)| *name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn mask(text: &str) -> Result<(String, Vec<i32>), String> {
    let expected = || format!("expected a mask such as side26=1,2,3, found `{text}`");
    let (side, named) = text.split_once('=').ok_or_else(expected)?;
    let named = named.split(',').map(|number| number.trim().parse().map_err(|_| expected()));
    Ok((side.to_owned(), named.collect::<Result<_, _>>()?))
}

impl ApplicationArgs {
    /// Reads the configuration file, if one is given, and applies the options to it.
    pub(crate) fn read(&self, file: &ConfigFileArgs) -> anyhow::Result<ConfigFile> {
        let names_an_application = file.config.is_some() || self.model.is_some() || self.camera_only;
        let mut file = file.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        if !names_an_application {
            let error = Usage("no application given".to_owned());
            let help = "give --model FILE.blob, --camera-only for pictures alone, or --config oaktap.toml";
            return Err(advised(error.into(), help));
        }
        self.apply(&mut file.application)?;
        Ok(file)
    }

    fn apply(&self, app: &mut App) -> anyhow::Result<()> {
        fn set<T: Clone>(into: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                into.clone_from(value);
            }
        }
        set(&mut app.name, &self.name);
        set(&mut app.size, &self.size);
        set(&mut app.fps, &self.fps);
        set(&mut app.resolution, &self.resolution);
        set(&mut app.plane_order, &self.channel_order);
        set(&mut app.orientation, &self.orientation);
        set(&mut app.transport, &self.transport);
        set(&mut app.port, &self.port);
        if self.host.is_some() {
            app.host = self.host;
        }
        if self.video {
            app.picture = CameraOutput::Video;
        }
        self.apply_payload(&mut app.payload)?;
        if self.camera_only {
            app.model = None;
        }
        if let Some(blob) = &self.model {
            // Settings of the file's model stay in force unless options replace them.
            let model = app.model.get_or_insert_with(|| Model::new(blob));
            model.blob.clone_from(blob);
        }
        match (&mut app.model, self.model_option()) {
            (Some(model), _) => self.apply_model(model),
            (None, Some(option)) => Err(Usage(format!("{option} requires --model")).into()),
            (None, None) => Ok(()),
        }
    }

    fn apply_payload(&self, payload: &mut PayloadCoding) -> anyhow::Result<()> {
        let video = |payload: &PayloadCoding| match payload {
            PayloadCoding::H264(video) | PayloadCoding::H265(video) => *video,
            _ => Video::default(),
        };
        match self.payload {
            None => {}
            Some(Encoding::Raw) => *payload = PayloadCoding::Raw,
            Some(Encoding::Jpeg) if matches!(payload, PayloadCoding::Jpeg { .. }) => {}
            Some(Encoding::Jpeg) => *payload = PayloadCoding::Jpeg { quality: 95 },
            Some(Encoding::H264) => *payload = PayloadCoding::H264(video(payload)),
            Some(Encoding::H265) => *payload = PayloadCoding::H265(video(payload)),
        }
        match (payload, self.quality, self.bitrate, self.keyframes) {
            (_, None, None, None) => Ok(()),
            (PayloadCoding::Jpeg { quality }, Some(value), None, None) => {
                *quality = value;
                Ok(())
            }
            (PayloadCoding::H264(video) | PayloadCoding::H265(video), None, bitrate, keyframes) => {
                video.bitrate_kbps = bitrate.unwrap_or(video.bitrate_kbps);
                video.keyframe_interval = keyframes.unwrap_or(video.keyframe_interval);
                Ok(())
            }
            _ => Err(Usage(
                "--quality requires --payload jpeg; --bitrate and --keyframes require --payload h264 or h265"
                    .to_owned(),
            )
            .into()),
        }
    }

    /// Returns the first given option that requires a model.
    fn model_option(&self) -> Option<&'static str> {
        [
            ("--family", self.family.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--iou", self.iou.is_some()),
            ("--classes", self.classes.is_some()),
            ("--coordinates", self.coordinates.is_some()),
            ("--anchors", !self.anchors.is_empty()),
            ("--mask", !self.mask.is_empty()),
            ("--labels", self.labels.is_some()),
            ("--threads", self.threads.is_some()),
            ("--model-input", self.model_input.is_some()),
            ("--letterbox", self.letterbox),
            ("--stretch", self.stretch),
            ("--crop", self.crop),
        ]
        .into_iter()
        .find_map(|(option, given)| given.then_some(option))
    }

    fn apply_model(&self, model: &mut Model) -> anyhow::Result<()> {
        match self.family {
            None => {}
            Some(FamilyName::Mobilenet) => model.family = ModelFamily::Mobilenet,
            Some(FamilyName::Yolo) if matches!(model.family, ModelFamily::Yolo { .. }) => {}
            Some(FamilyName::Yolo) => model.family = ModelFamily::default(),
        }
        match &mut model.family {
            ModelFamily::Yolo { classes, coordinates, iou, anchors, masks } => {
                *classes = self.classes.or(*classes);
                *coordinates = self.coordinates.unwrap_or(*coordinates);
                *iou = self.iou.unwrap_or(*iou);
                if !self.anchors.is_empty() {
                    anchors.clone_from(&self.anchors);
                }
                if !self.mask.is_empty() {
                    *masks = self.mask.iter().cloned().collect();
                }
            }
            ModelFamily::Mobilenet => {
                let of_yolo = [self.classes.is_some(), self.coordinates.is_some(), self.iou.is_some()];
                if of_yolo.contains(&true) || !self.anchors.is_empty() || !self.mask.is_empty() {
                    let text = "--classes, --coordinates, --iou, --anchors and --mask require a YOLO model";
                    return Err(Usage(text.to_owned()).into());
                }
            }
        }
        model.confidence = self.threshold.unwrap_or(model.confidence);
        model.threads = self.threads.unwrap_or(model.threads);
        model.input = self.model_input.or(model.input);
        let fit = [(self.letterbox, Fit::Letterbox), (self.stretch, Fit::Stretch), (self.crop, Fit::Crop)];
        model.fit = fit.into_iter().find_map(|(given, fit)| given.then_some(fit)).unwrap_or(model.fit);
        if let Some(path) = &self.labels {
            model.labels = read_labels(path)?.contiguous().map_err(|label| {
                let text = format!("class {label} has no name in {}", path.display());
                advised(anyhow::anyhow!(text), "the application needs a name for each class, from 0 on")
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::config_file::CONFIG_FILE;
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        file: ConfigFileArgs,

        #[command(flatten)]
        application: ApplicationArgs,
    }

    fn read(words: &[&str]) -> anyhow::Result<ConfigFile> {
        let words = Words::try_parse_from(["oaktap"].iter().chain(words)).expect("known options");
        words.application.read(&words.file)
    }

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable folder");
        path.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn options_override_the_configuration_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = file(
            &folder,
            CONFIG_FILE,
            r#"
            cameras = ["192.168.1.50", "14442C"]
            firmware = "depthai.whl"
            [application]
            name = "door"
            size = "416x416"
            payload = { coding = "h264", bitrate_kbps = 4000 }
            [application.model]
            blob = "models/yolov8n.blob"
            labels = ["person", "bicycle"]
            family = { kind = "yolo", iou = 0.4 }
            "#,
        );
        let labels = file(&folder, "names.txt", "cat\ndog \nbird\n\n");
        let as_it_is = read(&["--config", &config]).expect("valid file");
        assert_eq!(as_it_is.cameras.len(), 2);
        assert_eq!(as_it_is.firmware, Some(folder.path().join("depthai.whl")));
        let model = as_it_is.application.model.as_ref().expect("a model");
        assert_eq!(model.blob, folder.path().join("models/yolov8n.blob"));
        let options = ["--fps", "12.5", "--labels", &labels, "--iou", "30%", "--keyframes", "60", "--letterbox"];
        let app = read(&[&["--config", &config], &options[..]].concat()).expect("valid file").application;
        let model = app.model.as_ref().expect("a model");
        assert_eq!((app.name.as_str(), app.fps, app.size), ("door", 12.5, Size::new(416, 416)));
        assert_eq!(app.payload, PayloadCoding::H264(Video { bitrate_kbps: 4000, keyframe_interval: 60 }));
        assert_eq!((model.labels.join(" "), model.fit), ("cat dog bird".to_owned(), Fit::Letterbox));
        assert!(matches!(model.family, ModelFamily::Yolo { iou: 0.3, .. }), "{:?}", model.family);
        let without = read(&["--config", &config, "--camera-only"]).expect("valid options").application;
        assert_eq!(without.model, None);
    }

    #[test]
    fn contradictory_options_are_rejected() {
        let error = |words: &[&str]| format!("{:#}", read(words).expect_err("contradictory options"));
        assert_eq!(error(&[]), "no application given");
        let iou = error(&["--camera-only", "--iou", "0.5"]);
        assert_eq!(iou, "--iou requires --model");
        let family = ["--model", "a.blob", "--family", "mobilenet"];
        assert!(error(&[&family[..], &["--classes", "3"]].concat()).ends_with("require a YOLO model"));
        assert!(error(&["--camera-only", "--quality", "80"]).starts_with("--quality requires --payload jpeg"));
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = file(&folder, CONFIG_FILE, "[application]\nsise = 3\n");
        assert!(
            error(&["--config", &config]).contains("unknown setting `sise`; did you mean `size`?"),
            "{}",
            error(&["--config", &config])
        );
        assert!(error(&["--config", "/nowhere/a.toml"]).starts_with("cannot read /nowhere/a.toml"));
    }
}
