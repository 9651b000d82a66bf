//! The program of the Script node: the parameters of an application in one line, followed by `script.py`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::app::{App, CheckedApp, PayloadCoding, Transport};

/// The content of `script.py`.
pub const PROGRAM: &str = include_str!("script.py");
/// Begins the line of parameters.
const ASSIGNMENT: &str = "APP = ";

/// An input of the Script node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptInput {
    /// Name of the port.
    pub name: &'static str,
    /// When the queue is full, `true`: the sender waits; `false`: the oldest message is dropped.
    pub blocking: bool,
    /// Messages that the queue holds.
    pub queue_size: u32,
}

/// The output for commands to the camera node.
pub const OUTPUT: &str = "control";

/// The inputs that the program needs for this application.
#[must_use]
pub fn inputs(app: &App) -> Vec<ScriptInput> {
    // The program takes the next frame after the one before got its boxes, for which a network needs up to four frames.
    // A camera has four buffers by default. A video must not lose a frame.
    let video = matches!(app.payload, PayloadCoding::H264(_) | PayloadCoding::H265(_));
    let mut inputs = vec![ScriptInput { name: "frame", blocking: video, queue_size: 4 }];
    if app.model.is_some() {
        inputs.push(ScriptInput { name: "detections", blocking: false, queue_size: 8 });
    }
    inputs.push(ScriptInput { name: "system", blocking: false, queue_size: 1 });
    inputs
}

/// The parameters in the first line. They are JSON that is valid Python too: numbers instead of booleans, and no null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptParameters {
    /// Name of the application.
    pub name: String,
    /// Width and height of the pictures.
    pub size: (u32, u32),
    /// Format of the pictures, see [`CheckedApp::format`].
    pub r#type: String,
    /// Frames per second.
    pub fps: f32,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// 1 with a detection network, else 0.
    pub model: u8,
    /// Maps boxes of the network's input to the picture: scale and offset of x, then of y.
    pub map: [f64; 4],
    /// Frames from one key frame to the next; 0 for raw and JPEG pictures.
    pub keys: u32,
    /// Port on which the program listens, or port of the host.
    pub port: u16,
    /// Host that the program connects to; empty if it listens.
    pub host: String,
    /// 1 if it sends datagrams to the host.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub udp: u8,
    /// Identifies the content of the package; empty if it does not identify itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl ScriptParameters {
    /// The parameters of an application.
    #[must_use]
    pub fn of(checked: &CheckedApp<'_>) -> Self {
        let app = checked.app;
        let (size, mapping) = (checked.sent(), checked.mapping());
        Self {
            name: app.name.clone(),
            size: (size.width, size.height),
            r#type: checked.format().to_owned(),
            fps: app.fps,
            labels: checked.labels().to_vec(),
            model: app.model.is_some().into(),
            map: [mapping.x_scale, mapping.x_offset, mapping.y_scale, mapping.y_offset],
            keys: match app.payload {
                PayloadCoding::Raw | PayloadCoding::Jpeg { .. } => 0,
                PayloadCoding::H264(video) | PayloadCoding::H265(video) => video.keyframe_interval,
            },
            port: app.port,
            host: app.host.map(|host| host.to_string()).unwrap_or_default(),
            udp: (app.transport == Transport::Udp).into(),
            build: String::new(),
        }
    }

    /// Parses a text that consists of parameters and this version's [`PROGRAM`]; `None` for any other text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (parameters, program) = text.strip_prefix(ASSIGNMENT)?.split_once('\n')?;
        if program == PROGRAM { serde_json::from_str(parameters).ok() } else { None }
    }
}

impl fmt::Display for ScriptParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Builds the program of an application. It is ASCII, because [`App::check`] rejects other names.
#[must_use]
pub fn text(checked: &CheckedApp<'_>) -> String {
    format!("{ASSIGNMENT}{}\n{PROGRAM}", ScriptParameters::of(checked))
}

/// Like [`text`], for a package whose content is identified by `build`: printable ASCII, at most 29 characters. The program
/// sends it at the beginning of every connection.
#[must_use]
pub fn identified_text(checked: &CheckedApp<'_>, build: &str) -> String {
    let parameters = ScriptParameters { build: build.to_owned(), ..ScriptParameters::of(checked) };
    format!("{ASSIGNMENT}{parameters}\n{PROGRAM}")
}

#[cfg(test)]
mod tests {
    use super::super::app::{App, CameraOutput, Fit, Model, Resolution, Size, Video};
    use super::*;

    fn line(app: &App, input: Option<Size>) -> String {
        let checked = app.check(input).expect("it can be built");
        let text = text(&checked);
        assert!(text.is_ascii() && text.ends_with(PROGRAM));
        let parameters = ScriptParameters::read(&text).expect("it is ours");
        assert_eq!(parameters, ScriptParameters::of(&checked));
        assert_eq!(text.lines().next(), Some(format!("APP = {parameters}").as_str()));
        parameters.to_string()
    }

    #[test]
    fn an_application_is_one_line_of_python() {
        assert_eq!(
            line(&App::default(), None),
            "{\"name\":\"oaktap\",\"size\":[640,352],\"type\":\"BGR888p\",\"fps\":30.0,\"labels\":[],\"model\":0,\
             \"map\":[1.0,0.0,1.0,0.0],\"keys\":0,\"port\":5000,\"host\":\"\"}"
        );
        let mut model = Model::new("m.blob");
        (model.fit, model.labels) = (Fit::Letterbox, vec!["a \"b\\".to_owned(), "c".to_owned()]);
        let app = App {
            name: "door".to_owned(),
            fps: 29.97,
            size: Size::new(640, 320),
            resolution: Resolution::K4,
            payload: PayloadCoding::H265(Video { keyframe_interval: 60, ..Video::default() }),
            picture: CameraOutput::Video,
            host: Some("10.0.0.7".parse().expect("an address")),
            model: Some(model),
            ..App::default()
        };
        let line = line(&app, Some(Size::new(320, 320)));
        assert!(line.contains("\"labels\":[\"a \\\"b\\\\\",\"c\"],\"model\":1"), "{line}");
        assert!(line.contains("\"size\":[3840,2160],\"type\":\"H265\",\"fps\":29.97"), "{line}");
        assert!(line.ends_with("\"keys\":60,\"port\":5000,\"host\":\"10.0.0.7\"}"), "{line}");
        let datagrams = App { host: app.host, transport: Transport::Udp, ..App::default() };
        assert!(super::tests::line(&datagrams, None).ends_with("\"host\":\"10.0.0.7\",\"udp\":1}"));
    }

    #[test]
    fn other_programs_are_not_recognized() {
        let ours = text(&App::default().check(None).expect("it can be built"));
        assert!(ScriptParameters::read(&ours).is_some());
        for text in [
            "print(1)",
            "APP = {}",
            &ours.replace("APP = ", "APP="),
            &format!("{ours}print(1)\n"),
            // Code instead of a value.
            &ours.replace("\"host\":\"\"", "\"host\":str(print(1))"),
            &ours.replace("\"host\":\"\"", "\"host\":\"\",\"more\":1"),
        ] {
            assert_eq!(ScriptParameters::read(text), None, "{text}");
        }
    }
}
