//! Messages of ROS 2 beside those of images: detections (vision_msgs 4.1) and calibrations.

use serde::Serialize;

use super::calibration::Calibration;
use crate::frame::{BBox, Detection, Frame, Size, Track};
use crate::overlay::Style;
use crate::recording::ros::{self, Header, Text};

/// `vision_msgs/msg/Detection2DArray`.
#[derive(Serialize)]
struct Detection2DArray<'a> {
    header: &'a Header<'a>,
    detections: Vec<Detection2D<'a>>,
}

/// `vision_msgs/msg/Detection2D`.
#[derive(Serialize)]
struct Detection2D<'a> {
    header: &'a Header<'a>,
    results: Vec<ObjectHypothesisWithPose<'a>>,
    bbox: BoundingBox2D,
    /// Number of its track.
    id: Text<'a>,
}

/// `vision_msgs/msg/ObjectHypothesisWithPose`.
#[derive(Serialize)]
struct ObjectHypothesisWithPose<'a> {
    hypothesis: ObjectHypothesis<'a>,
    pose: PoseWithCovariance,
}

/// `vision_msgs/msg/ObjectHypothesis`.
#[derive(Serialize)]
struct ObjectHypothesis<'a> {
    class_id: Text<'a>,
    score: f64,
}

/// `geometry_msgs/msg/PoseWithCovariance`.
#[derive(Serialize)]
struct PoseWithCovariance {
    /// In meters; x to the right, y down, z away from the camera.
    position: [f64; 3],
    /// Quaternion x, y, z, w.
    orientation: [f64; 4],
    covariance: [[f64; 6]; 6],
}

/// `vision_msgs/msg/BoundingBox2D`, in pixels.
#[derive(Serialize)]
struct BoundingBox2D {
    center: [f64; 2],
    theta: f64,
    size_x: f64,
    size_y: f64,
}

/// Returns the detections of a frame that the style shows, with their boxes clipped to the picture; `None` if the size of the
/// picture is not known. Boxes outside of the picture are left out.
pub(super) fn detections(frame: &Frame, style: &Style, header: &Header<'_>) -> Option<Vec<u8>> {
    let size = frame.size()?;
    let names = style.names(frame.labels.as_deref());
    let one = |detection: &Detection| {
        let track = Track::of(&frame.tracks, detection);
        let hypothesis = ObjectHypothesis {
            class_id: Text(names.title(detection.label).into_owned().into()),
            score: detection.confidence.into(),
        };
        Some(Detection2D {
            header,
            results: vec![ObjectHypothesisWithPose { hypothesis, pose: pose(detection) }],
            bbox: bounding_box(&detection.bbox, size)?,
            id: Text(track.map_or_else(String::new, |track| track.id.to_string()).into()),
        })
    };
    let shown = frame.detections.iter().filter(|detection| style.shows(detection, names));
    let detections = shown.filter_map(one).collect();
    Some(ros::encode(&Detection2DArray { header, detections }, 0))
}

/// Returns the position of an object, if the camera has measured it, and otherwise zeros.
fn pose(detection: &Detection) -> PoseWithCovariance {
    let meters = |mm: f32| f64::from(mm) / 1000.0;
    let measured = detection.position.filter(|position| position.depth().is_some());
    // The camera's y points up.
    let position = measured.map_or([0.0; 3], |position| {
        let [x, y, z] = position.mm();
        [meters(x), -meters(y), meters(z)]
    });
    PoseWithCovariance { position, orientation: [0.0, 0.0, 0.0, 1.0], covariance: [[0.0; 6]; 6] }
}

fn bounding_box(bbox: &BBox, Size { width, height }: Size) -> Option<BoundingBox2D> {
    let BBox { xmin, ymin, xmax, ymax } = bbox.clipped()?;
    let x = |share: f32| f64::from(share) * f64::from(width);
    let y = |share: f32| f64::from(share) * f64::from(height);
    let (left, top, right, bottom) = (x(xmin), y(ymin), x(xmax), y(ymax));
    let center = [f64::midpoint(left, right), f64::midpoint(top, bottom)];
    Some(BoundingBox2D { center, theta: 0.0, size_x: right - left, size_y: bottom - top })
}

/// `sensor_msgs/msg/CameraInfo`.
#[derive(Serialize)]
struct CameraInfo<'a> {
    header: &'a Header<'a>,
    height: u32,
    width: u32,
    distortion_model: &'a str,
    d: &'a [f64],
    k: &'a [f64; 9],
    r: &'a [f64; 9],
    p: &'a [f64; 12],
    binning_x: u32,
    binning_y: u32,
    roi: RegionOfInterest,
}

/// `sensor_msgs/msg/RegionOfInterest`. Zeros mean the whole picture.
#[derive(Default, Serialize)]
struct RegionOfInterest {
    x_offset: u32,
    y_offset: u32,
    height: u32,
    width: u32,
    do_rectify: bool,
}

/// Returns the message about a calibration.
pub(super) fn camera_info(calibration: &Calibration, header: &Header<'_>) -> Vec<u8> {
    let Calibration { size, distortion_model, distortion, camera, rectification, projection } = calibration;
    let info = CameraInfo {
        header,
        height: size.height,
        width: size.width,
        distortion_model,
        d: distortion,
        k: camera,
        r: rectification,
        p: projection,
        binning_x: 0,
        binning_y: 0,
        roi: RegionOfInterest::default(),
    };
    ros::encode(&info, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PixelFormat, Position};

    fn frame(detections: Vec<Detection>) -> Frame {
        let mut frame = Frame::default();
        frame.geometry = Geometry::tight(PixelFormat::Gray8, 640, 400).ok();
        frame.detections = detections;
        frame
    }

    #[test]
    fn boxes_are_in_pixels_and_clipped_to_the_picture() {
        let size = Size::new(640, 400);
        let found = |xmin, ymin, xmax, ymax| {
            bounding_box(&BBox { xmin, ymin, xmax, ymax }, size).map(|found| (found.center, found.size_x, found.size_y))
        };
        assert_eq!(found(0.25, 0.5, 0.75, 1.0), Some(([320.0, 300.0], 320.0, 200.0)));
        assert_eq!(found(-1.0, 0.5, 0.5, 2.0), Some(([160.0, 300.0], 320.0, 200.0)));
        assert_eq!(found(1.5, 0.0, 2.0, 1.0), None);
        assert_eq!(found(f32::NAN, 0.0, 1.0, 1.0), None);
    }

    #[test]
    fn positions_are_meters_with_y_down() {
        let at = |mm| Detection { position: Some(Position::from_mm(mm)), ..Detection::default() };
        assert_eq!(pose(&at([500.0, 250.0, 2000.0])).position, [0.5, -0.25, 2.0]);
        assert_eq!(pose(&at([500.0, 250.0, 0.0])).position, [0.0; 3], "not measured");
        assert_eq!(pose(&Detection::default()).position, [0.0; 3]);
    }

    #[test]
    fn detections_that_the_style_hides_are_left_out() {
        let bbox = BBox { xmin: 0.0, ymin: 0.0, xmax: 0.5, ymax: 0.5 };
        let detection = |label, confidence| Detection { label, confidence, bbox, ..Detection::default() };
        let frame = frame(vec![detection(0, 0.9), detection(0, 0.1), detection(16, 0.9)]);
        let header = Header::default();
        let style = Style { threshold: 0.5, only: vec!["person".to_owned()], ..Style::default() };
        let shown = detections(&frame, &style, &header).expect("a message");
        // Head, header (9 bytes and padding), number of detections.
        assert_eq!(shown[..24], [&[0, 1, 0, 0][..], &[0; 8], &[1, 0, 0, 0], &[0; 4], &[1, 0, 0, 0]].concat());
        assert!(shown.windows(7).any(|bytes| bytes == b"person\0") && !shown.windows(4).any(|bytes| bytes == b"dog\0"));
        let all = detections(&frame, &Style::default(), &header).expect("a message");
        assert_eq!(all[20..24], [3, 0, 0, 0]);
        assert_eq!(detections(&Frame::default(), &style, &header), None, "without a size there are no pixels");
    }
}
