//! Calibrations of cameras, as camera_calibration of ROS writes them.

use serde::Deserialize;

use crate::frame::Size;

/// Most coefficients of distortion: `rational_polynomial` with thin prisms and tilt has 14.
const COEFFICIENTS_MAX: usize = 14;

/// The calibration of a camera for one size of its pictures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "CalibrationFile")]
pub struct Calibration {
    /// Size of the pictures that it holds for.
    pub size: Size,
    /// Model of the distortion, such as `plumb_bob`.
    pub distortion_model: String,
    /// Coefficients of the distortion.
    pub distortion: Vec<f64>,
    /// Matrix of the camera, row by row.
    pub camera: [f64; 9],
    /// Rotation that aligns the pictures of a stereo pair.
    pub rectification: [f64; 9],
    /// Matrix of the camera after rectification.
    pub projection: [f64; 12],
}

/// A calibration file.
#[derive(Deserialize)]
struct CalibrationFile {
    image_width: u32,
    image_height: u32,
    #[serde(default)]
    distortion_model: String,
    camera_matrix: Matrix,
    #[serde(default)]
    distortion_coefficients: Option<Matrix>,
    #[serde(default)]
    rectification_matrix: Option<Matrix>,
    #[serde(default)]
    projection_matrix: Option<Matrix>,
}

#[derive(Deserialize)]
struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Matrix {
    /// Returns its numbers, row by row.
    fn checked(self, key: &str) -> Result<Vec<f64>, String> {
        let Self { rows, cols, data } = self;
        if rows.checked_mul(cols) != Some(data.len()) {
            return Err(format!("`{key}` has {} numbers; expected {rows} rows of {cols}", data.len()));
        }
        match data.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(format!("`{key}` has the number {number}; expected finite numbers")),
            None => Ok(data),
        }
    }

    fn sized<const N: usize>(self, key: &str) -> Result<[f64; N], String> {
        let numbers = self.checked(key)?;
        <[f64; N]>::try_from(numbers).map_err(|found| format!("`{key}` has {} numbers; expected {N}", found.len()))
    }
}

impl TryFrom<CalibrationFile> for Calibration {
    type Error = String;

    fn try_from(file: CalibrationFile) -> Result<Self, String> {
        let size = Size::new(file.image_width, file.image_height);
        if size.width == 0 || size.height == 0 {
            return Err(format!("found a size of {size}; expected `image_width` and `image_height` of the pictures"));
        }
        let camera: [f64; 9] = file.camera_matrix.sized("camera_matrix")?;
        let distortion = match file.distortion_coefficients {
            Some(matrix) => matrix.checked("distortion_coefficients")?,
            None => Vec::new(),
        };
        if distortion.len() > COEFFICIENTS_MAX {
            let found = distortion.len();
            return Err(format!("found {found} `distortion_coefficients`; expected at most {COEFFICIENTS_MAX}"));
        }
        let rectification = match file.rectification_matrix {
            Some(matrix) => matrix.sized("rectification_matrix")?,
            None => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        };
        let projection = match file.projection_matrix {
            Some(matrix) => matrix.sized("projection_matrix")?,
            // Of a camera alone, without rectification.
            None => {
                let [a, b, c, d, e, f, g, h, i] = camera;
                [a, b, c, 0.0, d, e, f, 0.0, g, h, i, 0.0]
            }
        };
        Ok(Self { size, distortion_model: file.distortion_model, distortion, camera, rectification, projection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(change: impl FnOnce(&mut serde_json::Value)) -> Result<Calibration, String> {
        let matrix =
            |rows: usize, cols: usize, data: &[f64]| serde_json::json!({"rows": rows, "cols": cols, "data": data});
        let mut file = serde_json::json!({
            "image_width": 640, "image_height": 400, "camera_name": "front", "distortion_model": "plumb_bob",
            "camera_matrix": matrix(3, 3, &[500.0, 0.0, 320.0, 0.0, 501.0, 200.0, 0.0, 0.0, 1.0]),
            "distortion_coefficients": matrix(1, 5, &[0.1, -0.2, 0.0, 0.0, 0.0]),
        });
        change(&mut file);
        serde_json::from_value(file).map_err(|error| error.to_string())
    }

    #[test]
    fn matrices_that_are_not_given_are_those_of_a_camera_alone() {
        let calibration = parse(|_| {}).expect("valid");
        assert_eq!((calibration.size, calibration.distortion.len()), (Size::new(640, 400), 5));
        assert_eq!(calibration.rectification, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        let projection = [500.0, 0.0, 320.0, 0.0, 0.0, 501.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(calibration.projection, projection);
    }

    #[test]
    fn invalid_files_are_explained() {
        let error = |change: &dyn Fn(&mut serde_json::Value)| parse(change).unwrap_err();
        let found = error(&|file| file["camera_matrix"]["rows"] = 2.into());
        assert!(found.contains("`camera_matrix` has 9 numbers; expected 2 rows of 3"), "{found}");
        let found = error(&|file| file["projection_matrix"] = file["camera_matrix"].clone());
        assert!(found.contains("`projection_matrix` has 9 numbers; expected 12"), "{found}");
        let found = error(&|file| file["image_width"] = 0.into());
        assert!(found.contains("found a size of 0x400"), "{found}");
        let found = error(&|file| {
            file["distortion_coefficients"] = serde_json::json!({"rows": 1, "cols": 15, "data": vec![0.0; 15]});
        });
        assert!(found.contains("found 15 `distortion_coefficients`; expected at most 14"), "{found}");
        let found = error(&|file| drop(file.as_object_mut().expect("an object").remove("camera_matrix")));
        assert!(found.contains("missing field `camera_matrix`"), "{found}");
    }
}
