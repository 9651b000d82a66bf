//! A camera and its topics.

use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use super::calibration::Calibration;
use super::endpoint::{Context, Endpoint};
use super::graph::MessageType;
use super::image::message_type;
use super::pictures::{PictureThread, PictureTopics, header};
use super::{Ros2Options, messages, names};
use crate::frame::{Frame, PayloadKind};
use crate::hub::Taker;
use crate::net::zenoh::ZenohError;
use crate::overlay::Style;
use crate::sink::publish::camera::{NumberedFrame, NumberedFrames};

/// Topics of one frame of the first stream, beside the picture.
struct FrameTopics {
    detections: Endpoint,
    camera_info: Option<Endpoint>,
}

/// A camera that is published.
pub(super) struct Ros2Camera {
    /// Name of the camera.
    pub(super) name: String,
    /// The same as a token of topics.
    pub(super) token: String,
    frame_id: String,
    calibration: Option<Calibration>,
    raw: bool,
    frames: Taker<NumberedFrame>,
    /// Of the first stream, and of the others.
    pictures: [PictureThread; 2],
    /// Names of streams as tokens of topics.
    streams: Vec<(Arc<str>, String)>,
    picture_topics: PictureTopics,
    /// Declared once there is a session.
    topics: Option<FrameTopics>,
    /// Something is wrong with the topics or messages, and was reported.
    is_reported: bool,
}

impl Ros2Camera {
    /// Starts the threads for the pictures of a camera.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(name: &str, token: String, lanes: NumberedFrames, options: &Ros2Options) -> io::Result<Self> {
        let frame_id = names::frame_id(&token);
        let picture_topics = PictureTopics::default();
        let start = |frames| PictureThread::start(name, &frame_id, frames, picture_topics.clone(), options.raw);
        let NumberedFrames { detections, pictures, other_pictures } = lanes;
        Ok(Self {
            name: name.to_owned(),
            token,
            calibration: options.calibration(name).cloned(),
            raw: options.raw,
            frames: detections,
            pictures: [start(pictures)?, start(other_pictures)?],
            frame_id,
            streams: Vec::new(),
            picture_topics,
            topics: None,
            is_reported: false,
        })
    }

    /// Declares the topics that do not depend on frames.
    ///
    /// # Errors
    /// Zenoh refuses it.
    pub(super) async fn declare(&mut self, context: &mut Context) -> Result<(), ZenohError> {
        let topic = |message: MessageType, namespace: &str| names::topic(&[namespace, &self.token, message.topic()]);
        let [detections, camera_info] =
            [MessageType::Detections, MessageType::CameraInfo].map(|message| topic(message, &context.node.namespace));
        let detections = context.publisher(&detections, MessageType::Detections).await?;
        let camera_info = match &self.calibration {
            Some(_) => Some(context.publisher(&camera_info, MessageType::CameraInfo).await?),
            None => None,
        };
        self.topics = Some(FrameTopics { detections, camera_info });
        Ok(())
    }

    /// Returns the next frame, without its payload.
    pub(super) fn poll_frame(&self, cx: &TaskContext<'_>) -> Poll<NumberedFrame> {
        self.frames.poll_take(cx)
    }

    /// Returns the next frame if there is one.
    pub(super) fn next_frame(&self) -> Option<NumberedFrame> {
        self.frames.try_take()
    }

    /// Returns the number of frames that wait.
    pub(super) fn waiting(&self) -> usize {
        self.frames.waiting()
    }

    /// Finds out who subscribes. Takes pictures only while somebody subscribes to them.
    pub(super) async fn follow_subscribers(&self) {
        if let Some(FrameTopics { detections, camera_info }) = &self.topics {
            detections.check().await;
            if let Some(camera_info) = camera_info {
                camera_info.check().await;
            }
        }
        for endpoint in self.picture_topics.endpoints() {
            endpoint.check().await;
        }
        let [main, others] = &self.pictures;
        main.mute(!self.picture_topics.are_wanted(true));
        others.mute(!self.picture_topics.are_wanted(false));
    }

    /// Declares the topic for the pictures of such frames, and publishes the detections of a frame and the calibration. Returns
    /// an error that was not reported yet.
    pub(super) async fn frame(
        &mut self,
        context: &mut Context,
        frame: &NumberedFrame,
        style: &Style,
    ) -> Option<String> {
        let NumberedFrame { frame, number, is_main } = frame;
        let declared = self.declare_pictures(context, frame, *is_main).await.map_err(|error| error.to_string());
        let published = match &self.topics {
            Some(topics) if *is_main => self.publish(topics, frame, number.capture_unix_ns, style),
            _ => Ok(()),
        };
        let error = declared.and(published).err()?;
        (!std::mem::replace(&mut self.is_reported, true)).then_some(error)
    }

    async fn declare_pictures(
        &mut self,
        context: &mut Context,
        frame: &Frame,
        is_main: bool,
    ) -> Result<(), ZenohError> {
        let (stream, message) = (frame.stream.as_ref(), message_type(frame, self.raw));
        // Raw bytes of unknown layout cannot be published.
        let is_unknown = frame.kind == PayloadKind::Raw && frame.geometry.is_none();
        if is_unknown || self.picture_topics.has(stream, message) {
            return Ok(());
        }
        let level = match stream.filter(|_| !is_main) {
            Some(stream) => self.stream_token(stream),
            None => String::new(),
        };
        let topic = names::topic(&[&context.node.namespace, &self.token, &level, message.topic()]);
        let endpoint = context.publisher(&topic, message).await?;
        self.picture_topics.add(stream.cloned(), is_main, endpoint);
        Ok(())
    }

    /// Returns the name of a stream as a token of topics.
    fn stream_token(&mut self, stream: &Arc<str>) -> String {
        if let Some((_, token)) = self.streams.iter().find(|(known, _)| known == stream) {
            return token.clone();
        }
        let is_taken = |token: &str| self.streams.iter().any(|(_, known)| known == token);
        let token = names::token(stream, names::STREAM, is_taken);
        self.streams.push((Arc::clone(stream), token.clone()));
        token
    }

    fn publish(&self, topics: &FrameTopics, frame: &Frame, capture_unix_ns: i64, style: &Style) -> Result<(), String> {
        let header = header(capture_unix_ns, &self.frame_id);
        if topics.detections.is_wanted() {
            match messages::detections(frame, style, &header) {
                Some(message) => topics.detections.put(message),
                // Of video before its first key frame, and of raw bytes of unknown layout.
                None => tracing::debug!(camera = self.name, "cannot publish detections: unknown size of the picture"),
            }
        }
        if let (Some(topic), Some(calibration)) = (&topics.camera_info, &self.calibration)
            && topic.is_wanted()
        {
            match frame.size() {
                Some(size) if size == calibration.size => topic.put(messages::camera_info(calibration, &header)),
                Some(size) => {
                    let expected = calibration.size;
                    return Err(format!(
                        "its pictures have {size}, but its calibration is for {expected} and is not published"
                    ));
                }
                None => {}
            }
        }
        Ok(())
    }
}
