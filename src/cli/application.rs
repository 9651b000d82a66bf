//! Which application: oaktap.toml, and what is said on the command line, which counts more.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use oaktap::device::app::{
    App, CameraOutput, Fit, Model, ModelFamily, Orientation, PayloadCoding, PlaneOrder, Resolution, Size, Video,
};
use serde::Deserialize;

use super::camera::CameraArg;
use super::present::{Usage, advised};

/// What the file is called in texts.
pub(crate) const FILE: &str = "oaktap.toml";
/// A file that says what an application is has not more than this.
const MOST_TEXT: u64 = 1 << 20;

/// What oaktap.toml says: an application, and which cameras run it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AppFile {
    /// Addresses or ids.
    pub(crate) cameras: Vec<String>,
    /// The vendor's package that has the firmware in it.
    pub(crate) firmware: Option<PathBuf>,
    /// The application.
    pub(crate) application: App,
}

impl AppFile {
    /// Reads one. Files that it names are found beside it.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_text(path)?;
        let mut file: Self = toml::from_str(&text).map_err(|error| {
            let error = Usage(format!("{} cannot be understood: {error}", path.display()));
            advised(error.into(), "README.md shows such a file, and `oaktap build --help` what there is to say")
        })?;
        let beside = |named: &mut PathBuf| {
            if let Some(folder) = path.parent() {
                *named = folder.join(&*named);
            }
        };
        if let Some(firmware) = &mut file.firmware {
            beside(firmware);
        }
        if let Some(model) = &mut file.application.model {
            beside(&mut model.blob);
        }
        Ok(file)
    }

    /// The cameras that it names.
    pub(crate) fn cameras(&self) -> anyhow::Result<Vec<CameraArg>> {
        let camera = |text: &String| text.parse().map_err(|error| Usage(format!("{FILE}, cameras: {error}")).into());
        self.cameras.iter().map(camera).collect()
    }
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let read = || {
        let bytes = std::fs::metadata(path)?.len();
        if bytes > MOST_TEXT {
            return Err(std::io::Error::other(format!("it has {bytes} bytes, expected a text of at most {MOST_TEXT}")));
        }
        std::fs::read_to_string(path)
    };
    read().with_context(|| format!("{} cannot be read", path.display()))
}

/// What is sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Coding {
    /// Planes of pixels
    Raw,
    /// JPEG pictures
    Jpeg,
    /// H.264 video
    H264,
    /// H.265 video
    H265,
}

/// What a model's output means.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// YOLO v3 to v8
    Yolo,
    /// MobileNet-SSD
    Mobilenet,
}

/// The application, for commands that build one.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "The application")]
pub(crate) struct ApplicationArgs {
    /// A file that says what is said here, and which cameras run it; what is said here counts more
    #[arg(long, value_name = "oaktap.toml")]
    pub(crate) config: Option<PathBuf>,

    /// The compiled network: a .blob file
    #[arg(long, value_name = "FILE.blob")]
    model: Option<PathBuf>,

    /// No network: the camera sends pictures alone
    #[arg(long, conflicts_with = "model")]
    camera_only: bool,

    /// What it is called [default: oaktap]
    #[arg(long)]
    name: Option<String>,

    /// Size of the preview, which is what the model sees [default: 640x352]
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,

    /// Frames a second [default: 30]
    #[arg(long, value_name = "N")]
    fps: Option<f32>,

    /// What the sensor is read out at [default: 1080p]
    #[arg(long, value_name = "NAME", value_parser = resolution)]
    resolution: Option<Resolution>,

    /// Order of the colours: bgr or rgb [default: bgr]
    #[arg(long, value_name = "ORDER", value_parser = word::<PlaneOrder>)]
    colour: Option<PlaneOrder>,

    /// How the camera hangs: auto, normal, mirror, flip or rotate180 [default: auto]
    #[arg(long, value_name = "HOW", value_parser = word::<Orientation>)]
    orientation: Option<Orientation>,

    /// How pictures are sent [default: raw]
    #[arg(long, value_name = "CODING")]
    payload: Option<Coding>,

    /// Send the sensor's picture, encoded, and not the preview
    #[arg(long)]
    video: bool,

    /// Quality of JPEG pictures, 1 to 100 [default: 95]
    #[arg(long, value_name = "N")]
    quality: Option<u8>,

    /// Thousands of bits a second of H.264 and H.265; 0 leaves it to the camera [default: 0]
    #[arg(long, value_name = "KBPS")]
    bitrate: Option<u32>,

    /// Every so many frames of H.264 and H.265 one stands for itself [default: 30]
    #[arg(long, value_name = "N")]
    keyframes: Option<u32>,

    /// What the model's output means [default: yolo]
    #[arg(long)]
    family: Option<Kind>,

    /// Detections below this are dropped [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = super::values::share)]
    confidence: Option<f32>,

    /// YOLO: boxes that overlap by more than this are one [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = super::values::share)]
    iou: Option<f32>,

    /// YOLO: number of classes [default: that of the labels, or 80]
    #[arg(long, value_name = "N")]
    classes: Option<u32>,

    /// YOLO: numbers of a box [default: 4]
    #[arg(long, value_name = "N")]
    coordinates: Option<u32>,

    /// YOLO 3, 4, 5 and 7: width and height of each anchor: 10,14,23,27
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    anchors: Vec<f32>,

    /// YOLO 3, 4, 5 and 7: which anchors belong to an output: side26=1,2,3. Can be given several times
    #[arg(long, value_name = "SIDE=LIST", value_parser = mask)]
    mask: Vec<(String, Vec<i32>)>,

    /// A text with the names of the classes, one a line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Threads of inference, 1 or 2 [default: 2]
    #[arg(long, value_name = "N")]
    threads: Option<u32>,

    /// Size of the model's input, where the blob does not tell
    #[arg(long, value_name = "WxH")]
    model_input: Option<Size>,

    /// Fit the preview into the model's input, with black bars at two sides
    #[arg(long, group = "fit")]
    letterbox: bool,

    /// Fit the preview into the model's input, out of shape
    #[arg(long, group = "fit")]
    stretch: bool,

    /// Fit the middle of the preview into the model's input
    #[arg(long, group = "fit")]
    crop: bool,

    /// The TCP port that the camera listens at, or that of the host [default: 5000]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// The host that the camera connects to, again and again; without one it listens
    #[arg(long, value_name = "IP")]
    host: Option<Ipv4Addr>,
}

/// Whatever reads as a word in oaktap.toml.
fn word<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};
    let word: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(word).map_err(|error| error.to_string())
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
    /// Whether anything of it was said.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.config.is_some() || self.model.is_some() || self.camera_only
    }

    /// The file, if one was named, with what was said here in it.
    pub(crate) fn read(&self) -> anyhow::Result<AppFile> {
        let mut file = self.config.as_deref().map(AppFile::read).transpose()?.unwrap_or_default();
        if !self.is_wanted() {
            let error = Usage("it is not said which application is to be built".to_owned());
            let help = "say --model FILE.blob, --camera-only for pictures alone, or --config oaktap.toml";
            return Err(advised(error.into(), help));
        }
        self.apply(&mut file.application)?;
        Ok(file)
    }

    fn apply(&self, app: &mut App) -> anyhow::Result<()> {
        fn set<T: Clone>(into: &mut T, said: &Option<T>) {
            if let Some(said) = said {
                into.clone_from(said);
            }
        }
        set(&mut app.name, &self.name);
        set(&mut app.size, &self.size);
        set(&mut app.fps, &self.fps);
        set(&mut app.resolution, &self.resolution);
        set(&mut app.plane_order, &self.colour);
        set(&mut app.orientation, &self.orientation);
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
            // What is said of another model does not hold for this one, but for what is told again.
            let model = app.model.get_or_insert_with(|| Model::new(blob));
            model.blob.clone_from(blob);
        }
        let about_a_model = self.says_of_a_model();
        match (&mut app.model, about_a_model) {
            (Some(model), _) => self.apply_model(model),
            (None, Some(option)) => {
                Err(Usage(format!("{option} is about a model, and there is none: say --model")).into())
            }
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
            Some(Coding::Raw) => *payload = PayloadCoding::Raw,
            Some(Coding::Jpeg) if matches!(payload, PayloadCoding::Jpeg { .. }) => {}
            Some(Coding::Jpeg) => *payload = PayloadCoding::Jpeg { quality: 95 },
            Some(Coding::H264) => *payload = PayloadCoding::H264(video(payload)),
            Some(Coding::H265) => *payload = PayloadCoding::H265(video(payload)),
        }
        match (payload, self.quality, self.bitrate, self.keyframes) {
            (_, None, None, None) => Ok(()),
            (PayloadCoding::Jpeg { quality }, Some(said), None, None) => {
                *quality = said;
                Ok(())
            }
            (PayloadCoding::H264(video) | PayloadCoding::H265(video), None, bitrate, keyframes) => {
                video.bitrate_kbps = bitrate.unwrap_or(video.bitrate_kbps);
                video.keyframe_interval = keyframes.unwrap_or(video.keyframe_interval);
                Ok(())
            }
            _ => Err(Usage(
                "--quality is for --payload jpeg, --bitrate and --keyframes are for h264 and h265".to_owned(),
            )
            .into()),
        }
    }

    /// An option that makes no sense without a model.
    fn says_of_a_model(&self) -> Option<&'static str> {
        [
            ("--family", self.family.is_some()),
            ("--confidence", self.confidence.is_some()),
            ("--iou", self.iou.is_some()),
            ("--classes", self.classes.is_some()),
            ("--coordinates", self.coordinates.is_some()),
            ("--anchors", !self.anchors.is_empty()),
            ("--mask", !self.mask.is_empty()),
            ("--labels", self.labels.is_some()),
            ("--threads", self.threads.is_some()),
            ("--model-input", self.model_input.is_some()),
            ("--letterbox, --stretch or --crop", self.letterbox || self.stretch || self.crop),
        ]
        .into_iter()
        .find_map(|(option, said)| said.then_some(option))
    }

    fn apply_model(&self, model: &mut Model) -> anyhow::Result<()> {
        match self.family {
            None => {}
            Some(Kind::Mobilenet) => model.family = ModelFamily::Mobilenet,
            Some(Kind::Yolo) if matches!(model.family, ModelFamily::Yolo { .. }) => {}
            Some(Kind::Yolo) => model.family = ModelFamily::default(),
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
                    let text = "--classes, --coordinates, --iou, --anchors and --mask are for YOLO models";
                    return Err(Usage(text.to_owned()).into());
                }
            }
        }
        model.confidence = self.confidence.unwrap_or(model.confidence);
        model.threads = self.threads.unwrap_or(model.threads);
        model.input = self.model_input.or(model.input);
        let fit = [(self.letterbox, Fit::Letterbox), (self.stretch, Fit::Stretch), (self.crop, Fit::Crop)];
        model.fit = fit.into_iter().find_map(|(said, fit)| said.then_some(fit)).unwrap_or(model.fit);
        if let Some(path) = &self.labels {
            let text = read_text(path)?;
            model.labels = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Words {
        #[command(flatten)]
        application: ApplicationArgs,
    }

    fn read(words: &[&str]) -> anyhow::Result<AppFile> {
        Words::try_parse_from(["oaktap"].iter().chain(words)).expect("known options").application.read()
    }

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn what_is_said_counts_more_than_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = file(
            &folder,
            FILE,
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
        let labels = file(&folder, "names.txt", "cat\n\ndog \nbird\n");
        let as_it_is = read(&["--config", &config]).expect("a file");
        assert_eq!(as_it_is.cameras().expect("two cameras").len(), 2);
        assert_eq!(as_it_is.firmware, Some(folder.path().join("depthai.whl")));
        let model = as_it_is.application.model.as_ref().expect("a model");
        assert_eq!(model.blob, folder.path().join("models/yolov8n.blob"));
        let said = ["--fps", "12.5", "--labels", &labels, "--iou", "30%", "--keyframes", "60", "--letterbox"];
        let app = read(&[&["--config", &config], &said[..]].concat()).expect("a file").application;
        let model = app.model.as_ref().expect("a model");
        assert_eq!((app.name.as_str(), app.fps, app.size), ("door", 12.5, Size::new(416, 416)));
        assert_eq!(app.payload, PayloadCoding::H264(Video { bitrate_kbps: 4000, keyframe_interval: 60 }));
        assert_eq!((model.labels.join(" "), model.fit), ("cat dog bird".to_owned(), Fit::Letterbox));
        assert!(matches!(model.family, ModelFamily::Yolo { iou: 0.3, .. }), "{:?}", model.family);
        let without = read(&["--config", &config, "--camera-only"]).expect("no model").application;
        assert_eq!(without.model, None);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let error = |words: &[&str]| format!("{:#}", read(words).expect_err("it makes no sense"));
        assert_eq!(error(&[]), "it is not said which application is to be built");
        let iou = error(&["--camera-only", "--iou", "0.5"]);
        assert_eq!(iou, "--iou is about a model, and there is none: say --model");
        let family = ["--model", "a.blob", "--family", "mobilenet"];
        assert!(error(&[&family[..], &["--classes", "3"]].concat()).ends_with("are for YOLO models"));
        assert!(error(&["--camera-only", "--quality", "80"]).starts_with("--quality is for --payload jpeg"));
        let folder = tempfile::tempdir().expect("a folder");
        let config = file(&folder, FILE, "[application]\nsise = 3\n");
        assert!(error(&["--config", &config]).contains("unknown field `sise`"), "{}", error(&["--config", &config]));
        assert!(error(&["--config", "/nowhere/a.toml"]).starts_with("/nowhere/a.toml cannot be read"));
    }
}
