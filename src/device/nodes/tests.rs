//! Compares properties and ports with those that the vendor's library, 2.30, wrote for the same settings.

use super::*;

fn check<S: NodeSettings>(node: &S, properties: &str, ports: &[&str]) {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(node.properties().to_bytes()), properties, "{}", S::KIND);
    let text = |port: &Port| {
        let Port { group, name, direction, blocking, queue_size, wait_for_message } = port;
        format!(
            "{group} {name} {direction:?} {}{queue_size}{}",
            if *blocking { "b" } else { "" },
            if *wait_for_message { "w" } else { "" }
        )
    };
    let mut found: Vec<_> = node.ports().iter().map(text).collect();
    found.sort();
    assert_eq!(found, ports, "{}", S::KIND);
}

#[test]
fn cameras() {
    let ports = [
        " frameEvent Out 8",
        " inputConfig In 8",
        " inputControl In b8",
        " isp Out 8",
        " preview Out 8",
        " raw Out 8",
        " still Out 8",
        " video Out 8",
    ];
    check(
        &ColorCamera::default(),
        "b91ab92000030088000000000000b903000000b9050000000000b9050000000000000000000000000000b903000000b9\
         030000000000000000000000000000ba00ffbd00ff000100812c01812c01ffffffff00880000f0410088000080bf8800\
         0080bf01b904000000000303040404be",
        &ports,
    );
    let set = ColorCamera {
        board_socket: 0,
        image_orientation: 3,
        color_order: ColorOrder::Rgb,
        interleaved: false,
        preview_width: 640,
        preview_height: 352,
        video_size: [1280, 720],
        resolution: 1,
        fps: 40.0,
        ..ColorCamera::default()
    };
    check(
        &set,
        "b91ab92000030088000000000000b903000000b9050000000000b9050000000000000000000000000000b903000000b9\
         030000000000000000000000000000ba0000bd000301000081600181800285000585d002ffff01880000204200880000\
         80bf88000080bf01b904000000000303040404be",
        &ports,
    );
}

#[test]
fn networks() {
    let ports = [" in In b5w", " out Out 8", " passthrough Out 8"];
    let plain = NeuralNetwork::default();
    check(&plain, "b905bebd00080000", &ports);
    let with_model =
        NeuralNetwork { blob_size: Some(2816), num_threads: 2, blocking: false, queue_size: 1, ..plain.clone() };
    check(
        &with_model,
        "b90581000bbd0c61737365743a5f5f626c6f62080200",
        &[" in In 1w", " out Out 8", " passthrough Out 8"],
    );
    let masks: [(&str, &[i32]); 3] = [("side26", &[1, 2, 3]), ("side13", &[3, 4, 5]), ("a_b", &[300, -1])];
    let parser = Parser {
        confidence_threshold: 0.3,
        classes: 80,
        coordinates: 4,
        anchors: vec![10., 14., 23., 27., 37., 58., 81., 82., 135., 169., 344., 319.5],
        iou_threshold: 0.45,
        ..Parser::new(Family::Yolo).with_masks(masks)
    };
    check(
        &DetectionNetwork { network: NeuralNetwork { num_threads: 2, ..plain.clone() }, parser },
        "b906bebd00080200b90700889a99993e5004ba0c88000020418800006041880000b841880000d8418800001442880000\
         6842880000a242880000a44288000007438800002943880000ac438800c09f43bb03bd03615f62bc082c010000ffffff\
         ffbd06736964653133bc0c030000000400000005000000bd06736964653236bc0c010000000200000003000000886666\
         e63e",
        &ports,
    );
    let parser = Parser { confidence_threshold: 0.6, ..Parser::new(Family::MobileNet) };
    check(
        &DetectionNetwork { network: plain, parser },
        "b906bebd00080000b90701889a99193f0000ba00bb008800000000",
        &ports,
    );
}

#[test]
fn image_manipulation() {
    let ports = [" inputConfig In b8", " inputImage In b8w", " out Out 8"];
    let manip = ImageManip::default();
    check(
        &manip,
        "b906b909b907b9048800000000880000000088000000008800000000b903b90288000000008800000000b90288000000\
         008800000000880000000000880000803f880000803f0001b90f000000000000ba000100ba00000088000000000001b9\
         06200000000085ff000000000000ff8600001000040000bd00",
        &ports,
    );
    let letterbox = ImageManip {
        resize: Some((416, 416, Fitting::Letterbox)),
        frame_type: Some(FrameType::Bgr888p),
        max_output_frame_size: 416 * 416 * 3,
    };
    check(
        &letterbox,
        "b906b909b907b9048800000000880000000088000000008800000000b903b90288000000008800000000b90288000000\
         008800000000880000000000880000803f880000803f0001b90f85a00185a00101000000ba000100ba00000088000000\
         000001b906080000000085ff000001010000ff8600ec0700040000bd00",
        &ports,
    );
    check(
        &ImageManip { resize: Some((300, 300, Fitting::Stretch)), ..manip },
        "b906b909b907b9048800000000880000000088000000008800000000b903b90288000000008800000000b90288000000\
         008800000000880000000000880000803f880000803f0001b90f852c01852c0100000000ba000100ba00000088000000\
         000000b906200000000085ff000001000000ff8600001000040000bd00",
        &ports,
    );
}

#[test]
fn encoders() {
    let ports = [" bitstream Out 8", " in In b4w", " out Out 8"];
    check(&VideoEncoder::preset(29.97, Profile::H264Main), "b90b001d0000000002500000888fc2ef41", &ports);
    let set =
        VideoEncoder { bitrate: 2_500_000, keyframe_frequency: 60, ..VideoEncoder::preset(30.0, Profile::H264Main) };
    check(&set, "b90b86a02526003c0000000002500000880000f041", &ports);
}

#[test]
fn scripts_and_loggers() {
    let script = Script::new(Processor::LeonCss).input("frame", false, 4).output("control");
    check(
        &script,
        "b903bd0e61737365743a5f5f736372697074bd083c7363726970743e00",
        &["io control Out 8", "io frame In 4"],
    );
    check(&SystemLogger::default(), "b901880000803f", &[" out Out 8"]);
}
