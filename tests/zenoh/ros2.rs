//! `oaktap publish --to ros2`, with subscribers of zenoh-ros2-sdk and rosbags, which implement rmw_zenoh and the messages of ROS 2
//! independently, and by hand with the genuine rclpy.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::bus::{router, router_at};
use crate::external_tools::{free_port, has_python_package, output, python_script, ros_script};
use crate::program::{Running, oaktap, run, signal};

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(120);

const JAZZY: &str = "jazzy";

/// Calibration of pictures of 64x48 pixels.
const CALIBRATION: &str = "\
image_width: 64
image_height: 48
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [50., 0., 32., 0., 51., 24., 0., 0., 1.]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [50., 0., 32., 0., 0., 51., 24., 0., 0., 0., 1., 0.]}
";

fn is_missing() -> bool {
    !has_python_package("zenoh_ros2_sdk")
}

/// A program, and the lines that it prints.
struct Program {
    process: Running,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(input: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(input).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let out = lines(child.stdout.take().expect("a pipe"));
        let err = lines(child.stderr.take().expect("a pipe"));
        Self { process: Running(child), out, err }
    }

    /// Waits for a line of standard output.
    #[track_caller]
    fn line(&self) -> String {
        self.out.recv_timeout(AGES).unwrap_or_else(|error| {
            panic!("{error}: it has said: {}", self.err.try_iter().collect::<Vec<_>>().join("\n"));
        })
    }

    #[track_caller]
    fn json(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).expect(&line)
    }

    /// Waits for a line of standard error with this text.
    #[track_caller]
    fn says(&self, text: &str) {
        let mut said = Vec::new();
        loop {
            match self.err.recv_timeout(AGES) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => said.push(line),
                Err(error) => panic!("{error}: it has not said `{text}`: {said:#?}"),
            }
        }
    }

    /// Ends it like Ctrl-C. Returns its exit code and its lines of JSON.
    fn stop(mut self) -> (i32, Vec<Value>) {
        signal(&self.process.0, "INT");
        let code = self.process.0.wait().expect("it ends").code().expect("it was not killed");
        let printed = self.out.iter().map(|line| serde_json::from_str(&line).expect(&line)).collect();
        (code, printed)
    }
}

fn publish(port: u16, namespace: &str, arguments: &[&str]) -> Program {
    let target = format!("ros2://127.0.0.1:{port}{namespace}");
    Program::start(&mut oaktap(&[&["publish", "--to", &target, "--json"], arguments].concat()))
}

/// Subscribes to topics, each written as `TYPE:TOPIC`.
fn subscribe(port: u16, domain: u32, distro: &str, arguments: &[&str]) -> Program {
    let mut command = python_script("ros2_subscriber.py").expect("Python");
    command.args([&port.to_string(), &domain.to_string(), distro]).args(arguments);
    let subscriber = Program::start(&mut command);
    assert_eq!(subscriber.json()["ready"], true);
    subscriber
}

/// Receives until there are this many messages of each type, and checks those that all have.
fn receive(subscriber: &Program, types: &[&str], count: usize) -> BTreeMap<String, Vec<Value>> {
    let mut received = BTreeMap::<String, Vec<Value>>::new();
    while types.iter().any(|name| received.get(*name).is_none_or(|of_type| of_type.len() < count)) {
        let message = subscriber.json();
        assert!(message["same"] == true, "rosbags writes other bytes: {message}");
        assert!(message["sdk"] == true, "the SDK has not received it: {message}");
        let name = message["type"].as_str().expect("a type").to_owned();
        received.entry(name).or_default().push(message);
    }
    for messages in received.values() {
        let gids: BTreeSet<_> = messages.iter().map(|message| message["gid"].as_str().expect("a gid")).collect();
        assert!(gids.len() == 1 && gids.first().is_some_and(|gid| gid.len() == 32), "{gids:?}");
        let numbers: Vec<_> = messages.iter().map(|message| number(message, "seq")).collect();
        assert!(numbers[0] >= 1 && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        for message in messages {
            let late_ns = number(message, "sent_ns") - number(message, "stamp_ns");
            assert!((0..AGES.as_nanos() as i64).contains(&late_ns), "captured before it was sent: {message}");
        }
    }
    received
}

#[track_caller]
fn number(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_else(|| panic!("{field}: {value}"))
}

fn stamps(messages: &[Value]) -> BTreeSet<i64> {
    messages.iter().map(|message| number(message, "stamp_ns")).collect()
}

fn lane<'a>(printed: &'a [Value], camera: usize, name: &str) -> &'a Value {
    let summary = printed.iter().find_map(|line| line.get("summary")).expect("a summary");
    let lanes = summary["cameras"][camera]["lanes"].as_array().expect("a list");
    lanes.iter().find(|lane| lane["name"] == name).unwrap_or(&Value::Null)
}

fn target(printed: &[Value]) -> &Value {
    &printed.iter().find_map(|line| line.get("published")).expect("counts of targets")[0]
}

#[test]
fn all_messages_about_a_frame_have_the_same_header_and_topics_are_in_the_graph() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("front.yaml");
    std::fs::write(&file, CALIBRATION).expect("a file");
    let (_router, port) = router();
    let camera = "front-left=sim:?size=64x48&boxes=2&format=jpeg";
    let calibration = format!("front-left={}", file.display());
    let publishing = publish(port, "/robot", &[camera, "--camera-info", &calibration]);
    publishing.says(&format!("publishing on ros2://127.0.0.1:{port}/robot"));

    let expected = [
        ("/robot/front_left/camera_info", "sensor_msgs/msg/CameraInfo", "::,10:,:,:,,"),
        ("/robot/front_left/detections", "vision_msgs/msg/Detection2DArray", "::,10:,:,:,,"),
        ("/robot/front_left/image/compressed", "sensor_msgs/msg/CompressedImage", "::,1:,:,:,,"),
    ];
    let mut command = python_script("ros2_subscriber.py").expect("Python");
    let graph = Program::start(command.args([&port.to_string(), "0", JAZZY, "topics"]));
    loop {
        let topics = graph.json();
        let topics = topics["topics"].as_array().expect("a list");
        let names: Vec<_> = topics.iter().map(|topic| topic["topic"].as_str().expect("a name")).collect();
        if names != expected.map(|(name, ..)| name) {
            assert!(names.len() < expected.len(), "{names:?}");
            continue;
        }
        for (topic, (_, kind, qos)) in topics.iter().zip(expected) {
            assert_eq!(topic["types"], serde_json::json!([kind]));
            let publisher = topic["publishers"][0].as_array().expect("one publisher");
            let [namespace, name, hash, its_qos] = &publisher[..] else { panic!("{publisher:?}") };
            assert!(namespace == "/robot" && name.as_str().is_some_and(|name| name.starts_with("oaktap_")));
            assert!(hash.as_str().is_some_and(|hash| hash.starts_with("RIHS01_")) && its_qos == qos, "{publisher:?}");
        }
        break;
    }

    let topics: Vec<_> = ["CameraInfo:", "Detection2DArray:", "CompressedImage:"].into_iter().zip(expected).collect();
    let topics: Vec<_> = topics.iter().map(|(kind, (topic, ..))| format!("{kind}{topic}")).collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    let subscriber = subscribe(port, 0, JAZZY, &topics);
    let received = receive(&subscriber, &["CameraInfo", "Detection2DArray", "CompressedImage"], 30);
    for message in received.values().flatten() {
        assert_eq!(message["frame_id"], "front_left_optical_frame");
    }
    let [infos, detections, pictures] =
        ["CameraInfo", "Detection2DArray", "CompressedImage"].map(|name| &received[name]);
    let joined = stamps(pictures).intersection(&stamps(detections)).copied().collect::<BTreeSet<_>>();
    let joined = joined.intersection(&stamps(infos)).count();
    assert!(joined >= 10, "{joined} of {}", pictures.len());
    for picture in pictures {
        assert!(picture["format"] == "jpeg" && picture["begin"] == "ffd8ff", "{picture}");
    }
    for detection in detections {
        let boxes = detection["detections"].as_array().expect("a list");
        assert_eq!(boxes.len(), 2, "{detection}");
        for one in boxes {
            let (center, size) = (&one["center"], &one["size"]);
            let within = |axis: usize, end: f64| {
                let (center, size) = (center[axis].as_f64().expect("x"), size[axis].as_f64().expect("size"));
                size > 1.0 && center - size / 2.0 >= -1e-6 && center + size / 2.0 <= end + 1e-6
            };
            assert!(within(0, 64.0) && within(1, 48.0), "in pixels: {one}");
            let class = one["class"].as_str().expect("a label");
            assert!(class.chars().all(|c| c.is_ascii_lowercase() || c == ' ') && !class.is_empty(), "{one}");
            assert!(one["frame_id"] == "front_left_optical_frame", "{one}");
        }
    }
    assert_eq!(infos[0]["k"], serde_json::json!([50.0, 0.0, 32.0, 0.0, 51.0, 24.0, 0.0, 0.0, 1.0]));
    assert!(infos[0]["model"] == "plumb_bob" && infos[0]["width"] == 64 && infos[0]["height"] == 48, "{}", infos[0]);
    let (code, printed) = publishing.stop();
    assert_eq!(code, 0);
    let target = target(&printed);
    let count: usize = received.values().map(Vec::len).sum();
    assert!(number(target, "messages") >= count as i64 && target["lost"] == 0, "{target}");
}

#[test]
fn pixels_are_jpeg_or_images_and_video_is_untouched() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let cameras = ["color=sim:?size=64x48", "depth=sim:?size=64x48&format=raw16", "video=sim:?size=64x48&format=h264"];
    for (arguments, color) in
        [(&[][..], "CompressedImage:/color/image/compressed"), (&["--ros-raw"], "Image:/color/image")]
    {
        let publishing = publish(port, "", &[&cameras[..], arguments].concat());
        publishing.says("publishing on");
        let topics = [color, "Image:/depth/image", "CompressedImage:/video/image/compressed"];
        let subscriber = subscribe(port, 0, JAZZY, &topics);
        let mut seen = BTreeMap::new();
        while seen.len() < topics.len() {
            let message = subscriber.json();
            assert!(message["same"] == true && message["sdk"] == true, "{message}");
            seen.insert(message["topic"].as_str().expect("a topic").to_owned(), message);
        }
        let image = |topic: &str| {
            let Value::Object(message) = &seen[topic] else { panic!("{topic}") };
            ["width", "height", "encoding", "step", "bytes"].map(|field| message[field].to_string())
        };
        assert_eq!(image("/depth/image"), ["64", "48", "\"16UC1\"", "128", "6144"]);
        if arguments.is_empty() {
            assert!(seen["/color/image/compressed"]["begin"] == "ffd8ff", "{seen:?}");
        } else {
            assert_eq!(image("/color/image"), ["64", "48", "\"bgr8\"", "192", "9216"]);
        }
        assert_eq!(seen["/video/image/compressed"]["format"], "h264");
        assert!(seen["/video/image/compressed"]["begin"].as_str().is_some_and(|bytes| bytes.starts_with("0000")));
        assert_eq!(publishing.stop().0, 0);
    }
}

#[test]
fn nothing_is_encoded_while_nobody_subscribes() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let publishing = publish(port, "", &["front=sim:?size=64x48&boxes=2", "--frames", "60"]);
    publishing.says("publishing on");
    let mut process = publishing.process;
    assert!(process.0.wait().expect("it ends").success());
    let printed: Vec<Value> = publishing.out.iter().map(|line| serde_json::from_str(&line).expect(&line)).collect();
    let (detections, pictures) = (lane(&printed, 0, "publish detections"), lane(&printed, 0, "publish pictures"));
    assert!(number(detections, "offered") >= 60 && pictures["offered"] == 0, "{detections} {pictures}");
    let target = target(&printed);
    assert!(target["messages"] == 0 && target["connections"] == 1 && target["connected"] == true, "{target}");
}

#[test]
fn distribution_and_domain_are_part_of_the_names() {
    if is_missing() {
        return;
    }
    let (_router, port) = router();
    let target = format!("ros2://127.0.0.1:{port}");
    let mut command = oaktap(&["publish", "front=sim:?size=64x48&boxes=2", "--to", &target, "--ros-distro", "humble"]);
    let publishing = Program::start(command.env("ROS_DOMAIN_ID", "7"));
    publishing.says("publishing on");
    let subscriber = subscribe(port, 7, "humble", &["Detection2DArray:/front/detections"]);
    receive(&subscriber, &["Detection2DArray"], 3);
    assert_eq!(publishing.stop().0, 0);
}

#[test]
fn a_router_that_is_gone_is_reported_once_and_used_again() {
    if is_missing() {
        return;
    }
    let (router, port) = router();
    let publishing = publish(port, "", &["front=sim:?size=64x48&boxes=2"]);
    publishing.says("publishing on");
    drop(router);
    publishing.says("connection lost; reconnecting");
    let _router = router_at(port).expect("the port is free again");
    publishing.says("publishing on");
    let subscriber = subscribe(port, 0, JAZZY, &["Detection2DArray:/front/detections"]);
    receive(&subscriber, &["Detection2DArray"], 3);
    let said: Vec<_> = publishing.err.try_iter().collect();
    assert!(!said.iter().any(|line| line.contains("reconnecting")), "{said:?}");
    let (code, printed) = publishing.stop();
    assert!(code == 0 && target(&printed)["connections"] == 2, "{}", target(&printed));
}

#[test]
fn a_router_that_is_not_there_and_invalid_options_are_errors() {
    let target = format!("ros2://127.0.0.1:{}", free_port());
    let (code, _, err) = run(&["publish", "sim:?size=64x48", "--to", &target, "--duration", "1s"]);
    assert!(code == 1 && err.contains("cannot connect to a Zenoh router at 127.0.0.1 port"), "{err}");
    assert!(err.contains("; retrying") && err.contains("nothing was published: never connected to ros2://"), "{err}");
    let (code, _, err) = run(&["publish", "sim:", "--to", "mqtt://127.0.0.1/oaktap", "--ros-raw"]);
    assert!(code == 2 && err.contains("`--ros-raw` requires a target `ros2`"), "{code} {err}");
    let (code, _, err) = run(&["publish", "sim:", "--to", "ros2", "--ros-distro", "iron"]);
    assert!(code == 2 && err.contains("expected humble, jazzy or kilted"), "{code} {err}");
    let output = oaktap(&["publish", "sim:", "--to", "ros2"]).env("ROS_DOMAIN_ID", "lab").output().expect("it starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("invalid ROS_DOMAIN_ID `lab`; expected a number"), "{err}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("front.yaml");
    std::fs::write(&file, CALIBRATION).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let (code, _, err) = run(&["publish", "sim:", "sim:", "--to", &target, "--camera-info", file]);
    assert!(code == 2 && err.contains("write `--camera-info NAME=FILE`"), "{code} {err}");
}

#[test]
fn full_hd_at_30_frames_per_second_arrives() {
    if is_missing() {
        return;
    }
    const FRAMES: usize = 90;
    let (_router, port) = router();
    let camera = "front=sim:?size=1920x1080&format=jpeg&fps=30";
    let publishing = publish(port, "", &[camera]);
    publishing.says("publishing on");
    let subscriber = subscribe(port, 0, JAZZY, &["CompressedImage:/front/image/compressed"]);
    let received = receive(&subscriber, &["CompressedImage"], FRAMES);
    let pictures = &received["CompressedImage"];
    // By the clock of the camera. A margin of a half, for machines that do other work.
    let times: Vec<_> = stamps(pictures).into_iter().collect();
    let span_s = (times[times.len() - 1] - times[0]) as f64 / 1e9;
    let fps = (times.len() - 1) as f64 / span_s;
    println!("{fps:.1} frames/s of {} bytes", pictures[0]["bytes"]);
    assert!((20.0..=31.0).contains(&fps), "{fps} frames/s");
    assert!(number(&pictures[0], "bytes") > 50_000, "{}", pictures[0]);
    // Not the exit code: the simulated camera may have no time to send a picture.
    let (_, printed) = publishing.stop();
    let lane = lane(&printed, 0, "publish pictures");
    assert!(3 * number(lane, "dropped") <= number(lane, "offered"), "{lane}");
}

/// Run it after `.ci/need vendors`, which installs ROS 2.
#[test]
#[ignore = "needs ROS 2, which .ci/need vendors installs"]
fn rclpy_reads_messages_and_writes_the_same_bytes() {
    let Some(mut rclpy) = ros_script("ros2_rclpy.py") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("front.yaml");
    std::fs::write(&file, CALIBRATION).expect("a file");
    let (_router, port) = router();
    let cameras = ["jpeg=sim:?size=64x48&boxes=2&format=jpeg", "raw=sim:?size=64x48&boxes=2"];
    let calibration = format!("jpeg={}", file.display());
    let publishing = publish(port, "", &[&cameras[..], &["--ros-raw", "--camera-info", &calibration]].concat());
    publishing.says("publishing on");
    let folder: &Path = folder.path();
    let topics = ["CompressedImage:/jpeg/image/compressed", "CameraInfo:/jpeg/camera_info", "Image:/raw/image"];
    let saving = ["--save", folder.to_str().expect("UTF-8")];
    let subscriber = subscribe(port, 0, "kilted", &[&saving[..], &topics].concat());
    receive(&subscriber, &["CompressedImage", "CameraInfo", "Image"], 1);
    println!("{}", output(rclpy.arg(folder)));
}
