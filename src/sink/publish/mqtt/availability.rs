//! Notices another program that publishes with the same prefix: both would overwrite `available` and the states of cameras.

/// The next step for the user.
pub(super) const SHARED_PREFIX_HELP: &str =
    "give each program a prefix of its own, such as mqtt://BROKER/oaktap-2: both overwrite `available` and the states";

/// Compares the messages on our topic `available`, which the broker sends back, with those that we have published.
#[derive(Debug, Default)]
pub(super) struct Availability {
    /// Messages of ours that the broker has not sent back on this connection.
    awaited: u32,
    connections: u64,
    is_reported: bool,
}

/// What a message on `available` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// Another program publishes there. Set once.
    pub(super) is_shared: bool,
    /// The broker keeps `offline`, although we are connected.
    pub(super) is_overwritten: bool,
}

impl Availability {
    /// A connection was opened.
    pub(super) fn connected(&mut self) {
        self.awaited = 0;
        self.connections += 1;
    }

    /// We publish `online`.
    pub(super) fn published(&mut self) {
        self.awaited += 1;
    }

    /// Takes a message on the topic. `retained`: the broker had it before we subscribed.
    pub(super) fn received(&mut self, payload: &[u8], retained: bool) -> Noticed {
        let is_online = payload == b"online";
        if !retained && is_online && self.awaited > 0 {
            self.awaited -= 1;
            return Noticed::default();
        }
        // After a connection that broke off, the old message may be that of ourselves. `offline` may be our own last will at any
        // time: a broker that stops publishes it while we are still connected.
        let may_be_ours = retained && self.connections > 1;
        let is_foreign = is_online && !may_be_ours;
        let is_shared = is_foreign && !self.is_reported;
        self.is_reported |= is_foreign;
        Noticed { is_shared, is_overwritten: !retained && !is_online }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Noticed = Noticed { is_shared: false, is_overwritten: false };
    const SHARED: Noticed = Noticed { is_shared: true, is_overwritten: false };

    fn connected() -> Availability {
        let mut availability = Availability::default();
        availability.connected();
        availability.published();
        availability
    }

    #[test]
    fn our_own_messages_are_not_those_of_another_program() {
        let mut own = connected();
        assert_eq!(own.received(b"offline", true), NOTHING, "of a program that has ended");
        assert_eq!(own.received(b"online", false), NOTHING);
        own.published();
        assert_eq!(own.received(b"online", false), NOTHING, "Home Assistant has restarted");
        own.connected();
        own.published();
        assert_eq!(own.received(b"online", true), NOTHING, "of our last connection");
        assert_eq!(own.received(b"online", false), NOTHING);
        let will = Noticed { is_shared: false, is_overwritten: true };
        assert_eq!(own.received(b"offline", false), will, "its will may come late");
    }

    #[test]
    fn another_program_is_noticed_once() {
        let mut second = connected();
        assert_eq!(second.received(b"online", true), SHARED, "it was there before");
        assert_eq!(second.received(b"online", false), NOTHING);
        let mut first = connected();
        assert_eq!(first.received(b"online", false), NOTHING);
        assert_eq!(first.received(b"online", false), SHARED, "it comes later");
        assert_eq!(first.received(b"offline", false), Noticed { is_shared: false, is_overwritten: true });
    }

    #[test]
    fn our_last_will_from_a_broker_that_stops_is_not_that_of_another_program() {
        let mut own = connected();
        assert_eq!(own.received(b"online", false), NOTHING);
        assert_eq!(own.received(b"offline", false), Noticed { is_shared: false, is_overwritten: true });
    }
}
