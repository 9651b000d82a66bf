//! Recording around detections only: what to wait for, and what has been seen just before.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::frame::{Frame, LabelMap};

/// A detection that is worth a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Name or number of the class.
    pub label: String,
    /// The confidence is above this, 0 to 1.
    pub above: f32,
    /// What came so long before the detection is recorded as well.
    pub pre: Duration,
    /// The recording goes on until so long after the last such detection.
    pub post: Duration,
    /// Memory for what came before; when it is not enough, that is shorter.
    pub pre_bytes: usize,
}

/// What is no trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no detection to wait for; expected a class and a confidence, such as person>0.6")]
pub struct TriggerError(String);

impl FromStr for Trigger {
    type Err = TriggerError;

    /// `person>0.6`, `57 > 60%`. With 5 s before and 10 s after, in 256 MB.
    fn from_str(text: &str) -> Result<Self, TriggerError> {
        let parsed = || {
            let (label, above) = text.split_once('>')?;
            let (label, above) = (label.trim(), above.trim());
            let above = match above.strip_suffix('%') {
                Some(percent) => percent.trim_end().parse::<f32>().ok()? / 100.0,
                None => above.parse().ok()?,
            };
            let is_class = !label.is_empty() && !label.contains(['<', '=', '>']);
            (is_class && (0.0..1.0).contains(&above)).then(|| Self {
                label: label.to_owned(),
                above,
                pre: Duration::from_secs(5),
                post: Duration::from_secs(10),
                pre_bytes: 256_000_000,
            })
        };
        parsed().ok_or_else(|| TriggerError(text.to_owned()))
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>{}", self.label, self.above)
    }
}

impl Trigger {
    /// Whether the frame shows what is waited for, with these names for the labels unless it brings its own.
    pub(super) fn is_in(&self, frame: &Frame, names: Option<&LabelMap>) -> bool {
        let names = frame.labels.as_deref().or(names).unwrap_or(LabelMap::coco());
        frame.detections.iter().any(|seen| seen.confidence > self.above && names.matches(seen.label, &self.label))
    }
}

/// The last seconds, in bounded memory.
#[derive(Debug)]
pub(super) struct Ring<T> {
    items: VecDeque<Held<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Held<T> {
    item: T,
    mono_ns: u64,
    bytes: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Ring<T> {
    /// Holds one more. What is too old beside it, or too much, comes back: the oldest first.
    pub(super) fn push(&mut self, item: T, mono_ns: u64, bytes: usize, trigger: &Trigger) -> Vec<T> {
        self.items.push_back(Held { item, mono_ns, bytes });
        self.bytes += bytes;
        self.trim(mono_ns, trigger)
    }

    /// Gives back what is too old at this time, or too much.
    pub(super) fn trim(&mut self, mono_ns: u64, trigger: &Trigger) -> Vec<T> {
        let pre = u64::try_from(trigger.pre.as_nanos()).unwrap_or(u64::MAX);
        let mut gone = Vec::new();
        while let Some(oldest) = self.items.front()
            && (mono_ns.saturating_sub(oldest.mono_ns) > pre || self.bytes > trigger.pre_bytes)
        {
            gone.extend(self.pop());
        }
        gone
    }

    /// The oldest.
    pub(super) fn pop(&mut self) -> Option<T> {
        let Held { item, bytes, .. } = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Detection;

    fn trigger(text: &str) -> Trigger {
        text.parse().expect("a trigger")
    }

    #[test]
    fn triggers_are_a_class_and_a_confidence() {
        for (text, label, above) in
            [("person>0.6", "person", 0.6), (" cell phone > 60% ", "cell phone", 0.6), ("57>0", "57", 0.0)]
        {
            let found = trigger(text);
            assert_eq!((found.label.as_str(), found.above), (label, above), "{text}");
        }
        for wrong in
            ["", "person", ">0.5", "person>", "person>1", "person>=0.5", "person<0.5", "person>-1", "a>nan", "a>60"]
        {
            let error = wrong.parse::<Trigger>().expect_err(wrong);
            assert!(error.to_string().starts_with(&format!("`{wrong}` is no detection")), "{error}");
        }
    }

    #[test]
    fn a_frame_shows_it_or_not() {
        let mut frame = Frame::default();
        let names: LabelMap = ["helmet", "person"].into_iter().collect();
        assert!(!trigger("person>0").is_in(&frame, None), "nothing is seen");
        for (label, confidence) in [(0, 0.7), (2, f32::NAN)] {
            frame.detections.push(Detection { label, confidence, ..Detection::default() });
        }
        assert!(trigger("Person>0.6").is_in(&frame, None) && trigger("0>0.6").is_in(&frame, None));
        assert!(!trigger("person>0.7").is_in(&frame, None), "above, not at");
        assert!(!trigger("car>0").is_in(&frame, None), "no confidence is above nothing");
        assert!(!trigger("person>0.6").is_in(&frame, Some(&names)), "the user has other names");
        frame.labels = Some(std::sync::Arc::new(["person"].into_iter().collect()));
        assert!(trigger("person>0.6").is_in(&frame, Some(&names)), "the stream's own names come first");
    }

    #[test]
    fn the_ring_is_bounded_by_time_and_bytes() {
        let bounds = Trigger { pre: Duration::from_nanos(10), pre_bytes: 100, ..trigger("a>0") };
        let mut ring = Ring::default();
        assert_eq!(ring.push('a', 0, 10, &bounds), []);
        assert_eq!(ring.push('b', 10, 10, &bounds), []);
        assert_eq!(ring.push('c', 11, 10, &bounds), ['a'], "too old");
        assert_eq!(ring.push('d', 11, 90, &bounds), ['b'], "too much");
        assert_eq!(ring.push('e', 11, 1000, &bounds), ['c', 'd', 'e'], "more than there may be");
        assert_eq!((ring.pop(), ring.bytes), (None, 0));
        ring.push('f', 12, 5, &bounds);
        assert_eq!((ring.pop(), ring.bytes), (Some('f'), 0));
    }
}
