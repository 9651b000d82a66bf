//! Settings of the camera that the applications of oaktap change while they run.

use std::ops::RangeInclusive;

/// A setting of the camera, which applies to all its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name in an order.
    pub key: &'static str,
    /// Numbers that the application accepts; `None` if it only accepts `auto`.
    pub range: Option<RangeInclusive<u32>>,
    /// Unit of the number; may be empty.
    pub unit: &'static str,
    /// The camera can choose the value itself, with `auto`.
    pub has_auto: bool,
}

/// The settings of the applications that oaktap builds, with the ranges of `script.py`.
pub const SETTINGS: [Setting; 5] = [
    Setting { key: "lens", range: Some(0..=255), unit: "", has_auto: false },
    Setting { key: "focus", range: None, unit: "", has_auto: true },
    Setting { key: "exposure", range: Some(1..=500_000), unit: "microseconds", has_auto: true },
    Setting { key: "iso", range: Some(100..=1600), unit: "", has_auto: false },
    Setting { key: "wb", range: Some(1000..=12_000), unit: "kelvin", has_auto: true },
];

impl Setting {
    /// Returns the setting of an order such as `lens=120`, and the value in it.
    #[must_use]
    pub fn of_order(order: &str) -> Option<(&'static Self, &str)> {
        let (key, value) = order.split_once('=')?;
        Some((SETTINGS.iter().find(|setting| setting.key == key)?, value))
    }

    /// Returns whether the application accepts a value.
    #[must_use]
    pub fn accepts(&self, value: &str) -> bool {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse().ok().filter(|_| is_number);
        (self.has_auto && value == "auto")
            || self.range.as_ref().zip(number).is_some_and(|(range, number)| range.contains(&number))
    }

    /// Describes the values that the application accepts: `auto, or 1000 to 12000 kelvin`.
    #[must_use]
    pub fn values(&self) -> String {
        let auto = self.has_auto.then(|| "auto".to_owned());
        let numbers = self.range.as_ref().map(|range| {
            let numbers = format!("{} to {} {}", range.start(), range.end(), self.unit);
            numbers.trim_end().to_owned()
        });
        auto.into_iter().chain(numbers).collect::<Vec<_>>().join(", or ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_application() {
        let script = include_str!("script.py");
        for Setting { key, range, has_auto, .. } in SETTINGS {
            assert_eq!(script.contains(&format!("if key == \"{key}\" and value == \"auto\":")), has_auto, "{key}");
            if let Some(range) = range {
                let own = script.split(&format!("if key == \"{key}\":\n")).nth(1).expect(key);
                let line = own.lines().next().expect("a line");
                assert!(line.ends_with(&format!("number(value, {}, {})", range.start(), range.end())), "{key}: {line}");
            }
        }
    }
}
