//! Notices that another camera is received at the address of the first one.

use super::Stats;

impl Stats {
    /// Takes the id in the camera's description of itself. Returns the id of the camera before if this is another one. Its clock has
    /// nothing to do with that of the camera before, so no reboot is counted.
    pub fn identified(&mut self) -> Option<String> {
        let id = self.introduction.device_id.as_ref()?;
        let before = match &self.last_id {
            Some(last) if last == id => return None,
            _ => self.last_id.replace(id.clone())?,
        };
        self.last_device = None;
        if self.repeats {
            return None;
        }
        self.replacements += 1;
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::{DeviceTime, Frame};
    use crate::wire::{Event, Introduction};

    fn sends(stats: &mut Stats, id: &str, device_time_us: i64) -> Option<String> {
        stats.connected();
        let mut introduction = Introduction::default();
        introduction.device_id = Some(id.to_owned());
        stats.set_introduction(&Arc::new(introduction));
        let before = stats.identified();
        assert_eq!(stats.identified(), None, "once");
        let mut frame = Frame::default();
        frame.device_time = DeviceTime(device_time_us);
        stats.event(&Event::Frame(frame.into()));
        before
    }

    #[test]
    fn another_camera_at_the_address_is_not_a_reboot() {
        let mut stats = Stats::default();
        assert_eq!(sends(&mut stats, "A", 9_000_000), None);
        assert_eq!(sends(&mut stats, "A", 10_000_000), None);
        assert_eq!((stats.replacements, stats.reboots), (0, 0));
        assert_eq!(sends(&mut stats, "B", 1_000), Some("A".to_owned()));
        assert_eq!((stats.replacements, stats.reboots), (1, 0));
        assert_eq!(sends(&mut stats, "B", 500), None);
        assert_eq!((stats.replacements, stats.reboots), (1, 1), "its own clock went back");
    }
}
