//! What the network on the camera saw.

use std::collections::BTreeMap;

/// One box of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Detection {
    /// Class number, as sent. Names are in a [`LabelMap`].
    pub label: u32,
    /// 0..=1. `NaN` when the camera sent one.
    pub confidence: f32,
    /// Where, in parts of the picture.
    pub bbox: BBox,
}

/// A box in parts of the picture: 0 is the left or upper edge, 1 the right or lower one.
///
/// As sent: not clamped, not ordered, and possibly `NaN` (wire.md section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct BBox {
    /// Left edge.
    pub xmin: f32,
    /// Upper edge.
    pub ymin: f32,
    /// Right edge.
    pub xmax: f32,
    /// Lower edge.
    pub ymax: f32,
}

/// Names of class numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap {
    names: BTreeMap<u32, Box<str>>,
}

impl LabelMap {
    /// The name of a class, if it has one.
    #[must_use]
    pub fn name(&self, label: u32) -> Option<&str> {
        self.names.get(&label).map(|name| &**name)
    }

    /// Names a class, or renames it.
    pub fn insert(&mut self, label: u32, name: &str) {
        self.names.insert(label, name.into());
    }

    /// Every class and its name, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.names.iter().map(|(label, name)| (*label, &**name))
    }

    /// The number of classes that have a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no class has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for LabelMap {
    /// Numbers the names from 0.
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self { names: (0..).zip(names.into_iter().map(Box::from)).collect() }
    }
}
