//! What a camera says of its own condition (`@T`), and how far that went.

/// A quantity over time.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Gauge {
    /// Its least value.
    pub min: f32,
    /// Its greatest value.
    pub max: f32,
    /// Its value now.
    pub last: f32,
}

/// How warm and how busy a camera is. What it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Health {
    /// Temperature of the chip in degrees Celsius.
    pub celsius: Option<Gauge>,
    /// Load of the processor that runs the network stack and the application's Script, in percent.
    pub css: Option<Gauge>,
    /// Load of the processor that runs the pictures' pipeline, in percent.
    pub mss: Option<Gauge>,
}

impl Health {
    /// The camera says how it is.
    pub fn observe(&mut self, celsius: Option<f32>, css: Option<f32>, mss: Option<f32>) {
        for (gauge, value) in [(&mut self.celsius, celsius), (&mut self.css, css), (&mut self.mss, mss)] {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            let Gauge { min, max, .. } = gauge.unwrap_or(Gauge { min: value, max: value, last: value });
            *gauge = Some(Gauge { min: min.min(value), max: max.max(value), last: value });
        }
    }

    /// Whether it has said nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_most_and_last() {
        let mut health = Health::default();
        assert!(health.is_empty());
        for celsius in [50.0, 71.5, f32::NAN, 48.0, 60.0] {
            health.observe(Some(celsius), None, Some(13.0));
        }
        assert_eq!(health.celsius, Some(Gauge { min: 48.0, max: 71.5, last: 60.0 }));
        assert_eq!((health.css, health.mss), (None, Some(Gauge { min: 13.0, max: 13.0, last: 13.0 })));
    }
}
