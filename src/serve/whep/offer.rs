//! Answers offers.

use std::sync::Arc;
use std::time::Instant;

use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::{Candidate, Rtc, RtcConfig, RtcError};

use super::Door;
use crate::serve::feed::Media;

/// Bytes that wait in a data channel. Detections that do not fit are left out.
const CHANNEL_BYTES: usize = 64 << 10;

/// Reason for refusing an offer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadOffer {
    #[error("the offer is not a session description of WebRTC: {0}")]
    Sdp(String),
    #[error("the offer has no video that receives H.264 in packetization mode 1")]
    NoVideo,
}

impl From<RtcError> for BadOffer {
    fn from(error: RtcError) -> Self {
        Self::Sdp(error.to_string())
    }
}

/// A connection that waits for its viewer.
pub(super) struct Answered {
    pub(super) rtc: Rtc,
    /// The video in the session.
    pub(super) mid: Mid,
    pub(super) payload_type: Pt,
    /// The answer in the form of SDP.
    pub(super) sdp: String,
}

/// Answers an offer for a camera.
pub(super) fn answer(door: &Door, offer: &str, media: &Media) -> Result<Answered, BadOffer> {
    let offer = SdpOffer::from_sdp_string(offer).map_err(|error| BadOffer::Sdp(error.to_string()))?;
    let config = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&door.crypto))
        .set_ice_lite(true)
        .clear_codecs()
        .enable_h264(true)
        .set_sctp_max_buffered_amount(CHANNEL_BYTES);
    let mut rtc = config.build(Instant::now());
    for address in door.candidates() {
        // An address that ICE does not take is not offered.
        if let Ok(candidate) = Candidate::host(address, "udp") {
            rtc.add_local_candidate(candidate);
        }
    }
    let sdp = rtc.sdp_api().accept_offer(offer)?.to_sdp_string();
    // The events that name the media come only after the connection.
    let mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(Mid::from);
    let is_video = |mid: &Mid| {
        let media = rtc.media(*mid);
        media.is_some_and(|media| media.kind() == MediaKind::Video && media.direction().is_sending())
    };
    let videos: Vec<_> = mids.filter(is_video).collect();
    let profile = media.h264_profile().map(|[profile, ..]| profile);
    let found = videos.into_iter().find_map(|mid| Some((mid, payload_type(&mut rtc, mid, profile)?)));
    let (mid, payload_type) = found.ok_or(BadOffer::NoVideo)?;
    Ok(Answered { rtc, mid, payload_type, sdp })
}

/// Returns the payload type for a profile, or one of another profile: browsers list few and play more.
fn payload_type(rtc: &mut Rtc, mid: Mid, profile: Option<u8>) -> Option<Pt> {
    let writer = rtc.writer(mid)?;
    let suits = writer.payload_params().filter(|params| {
        let spec = params.spec();
        spec.codec == Codec::H264 && spec.format.packetization_mode == Some(1)
    });
    let profile_in = |level_id: Option<u32>| level_id.map(|level_id| (level_id >> 16) as u8);
    suits.max_by_key(|params| profile_in(params.spec().format.profile_level_id) == profile).map(|params| params.pt())
}
