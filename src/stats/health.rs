//! Temperature and load that a camera reports about itself (`@T`).

/// The range and the latest value of one reading.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct HealthGauge {
    /// Lowest value so far.
    pub min: f32,
    /// Highest value so far.
    pub max: f32,
    /// Latest value.
    pub last: f32,
}

/// Temperature and processor load of a camera. `None`: not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct CameraHealth {
    /// Chip temperature in degrees Celsius.
    pub celsius: Option<HealthGauge>,
    /// Load in percent of the LEON CSS processor, which runs the network stack and the application's Script.
    pub css: Option<HealthGauge>,
    /// Load in percent of the LEON MSS processor, which runs the image pipeline.
    pub mss: Option<HealthGauge>,
}

impl CameraHealth {
    /// Adds one report. Values that are missing or not finite leave their gauge unchanged.
    pub fn observe(&mut self, celsius: Option<f32>, css: Option<f32>, mss: Option<f32>) {
        for (gauge, value) in [(&mut self.celsius, celsius), (&mut self.css, css), (&mut self.mss, mss)] {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            let HealthGauge { min, max, .. } = gauge.unwrap_or(HealthGauge { min: value, max: value, last: value });
            *gauge = Some(HealthGauge { min: min.min(value), max: max.max(value), last: value });
        }
    }

    /// Returns whether the camera has reported nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_keep_minimum_maximum_and_last_value() {
        let mut health = CameraHealth::default();
        assert!(health.is_empty());
        for celsius in [50.0, 71.5, f32::NAN, 48.0, 60.0] {
            health.observe(Some(celsius), None, Some(13.0));
        }
        assert_eq!(health.celsius, Some(HealthGauge { min: 48.0, max: 71.5, last: 60.0 }));
        assert_eq!((health.css, health.mss), (None, Some(HealthGauge { min: 13.0, max: 13.0, last: 13.0 })));
    }
}
