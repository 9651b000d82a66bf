//! The text that is flashed for the Script node: the parameters of an application as one line, and `script.py`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::app::{App, Checked, Payload};

/// What runs on the camera, as it stands in `script.py`.
pub const PROGRAM: &str = include_str!("script.py");
/// What the line of parameters begins with.
const ASSIGNED: &str = "APP = ";

/// An input of the Script node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// What it is called.
    pub name: &'static str,
    /// Whether the sender waits when the queue is full; otherwise the oldest message goes.
    pub blocking: bool,
    /// Messages that may wait.
    pub queue_size: u32,
}

/// Where the program sends what the sensor is to do.
pub const OUTPUT: &str = "control";

/// The inputs that the program has in this application.
#[must_use]
pub fn inputs(app: &App) -> Vec<Input> {
    // The program takes a frame as soon as it has let the one before go, which waits for its boxes: four frames are what
    // a network is late by, and all the buffers that a camera has by default. Of a video no frame may be lost.
    let video = matches!(app.payload, Payload::H264(_) | Payload::H265(_));
    let mut inputs = vec![Input { name: "frame", blocking: video, queue_size: 4 }];
    if app.model.is_some() {
        inputs.push(Input { name: "detections", blocking: false, queue_size: 8 });
    }
    inputs.push(Input { name: "system", blocking: false, queue_size: 1 });
    inputs
}

/// What the line in front of the program says: JSON that is Python as well, so it has numbers for truths, and nothing that
/// is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// What the application is called.
    pub name: String,
    /// Width and height of the pictures.
    pub size: (u32, u32),
    /// Their type, by the vendor's name or that of the coding.
    pub r#type: String,
    /// Frames a second.
    pub fps: f32,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// 1 with a network, else 0.
    pub model: u8,
    /// What makes a box in the picture of one in the network's input: factor and offset of x, then of y.
    pub map: [f64; 4],
    /// Frames from one key frame to the next; 0 if each picture stands alone.
    pub keys: u32,
    /// The port where it listens, or that of the host.
    pub port: u16,
    /// The host that it connects to; empty if it listens.
    pub host: String,
}

impl Parameters {
    /// Those of an application.
    #[must_use]
    pub fn of(checked: &Checked<'_>) -> Self {
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
                Payload::Raw | Payload::Jpeg { .. } => 0,
                Payload::H264(video) | Payload::H265(video) => video.keyframe_interval,
            },
            port: app.port,
            host: app.host.map(|host| host.to_string()).unwrap_or_default(),
        }
    }

    /// Those in front of our program, if this text is nothing else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (parameters, program) = text.strip_prefix(ASSIGNED)?.split_once('\n')?;
        if program == PROGRAM { serde_json::from_str(parameters).ok() } else { None }
    }
}

impl fmt::Display for Parameters {
    /// In one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// The text for this application. It is ASCII, because [`App::check`] has looked at the names.
#[must_use]
pub fn text(checked: &Checked<'_>) -> String {
    format!("{ASSIGNED}{}\n{PROGRAM}", Parameters::of(checked))
}

#[cfg(test)]
mod tests {
    use super::super::app::{App, Fit, Model, Picture, Resolution, Size, Video};
    use super::*;

    fn line(app: &App, input: Option<Size>) -> String {
        let checked = app.check(input).expect("it can be built");
        let text = text(&checked);
        assert!(text.is_ascii() && text.ends_with(PROGRAM));
        let parameters = Parameters::read(&text).expect("it is ours");
        assert_eq!(parameters, Parameters::of(&checked));
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
            payload: Payload::H265(Video { keyframe_interval: 60, ..Video::default() }),
            picture: Picture::Video,
            host: Some("10.0.0.7".parse().expect("an address")),
            model: Some(model),
            ..App::default()
        };
        let line = line(&app, Some(Size::new(320, 320)));
        assert!(line.contains("\"labels\":[\"a \\\"b\\\\\",\"c\"],\"model\":1"), "{line}");
        assert!(line.contains("\"size\":[3840,2160],\"type\":\"H265\",\"fps\":29.97"), "{line}");
        assert!(line.ends_with("\"keys\":60,\"port\":5000,\"host\":\"10.0.0.7\"}"), "{line}");
    }

    #[test]
    fn other_scripts_are_not_ours() {
        let ours = text(&App::default().check(None).expect("it can be built"));
        assert!(Parameters::read(&ours).is_some());
        for text in [
            "print(1)",
            "APP = {}",
            &ours.replace("APP = ", "APP="),
            &format!("{ours}print(1)\n"),
            // Code where a value should be.
            &ours.replace("\"host\":\"\"", "\"host\":str(print(1))"),
            &ours.replace("\"host\":\"\"", "\"host\":\"\",\"more\":1"),
        ] {
            assert_eq!(Parameters::read(text), None, "{text}");
        }
    }
}
