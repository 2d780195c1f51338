//! Frames of the conversation between region and host: a big-endian u32 length, then so many bytes of JSON.

use roadstead_hostspec::MAX_FRAME;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The frame of a message.
///
/// # Errors
/// The body is longer than [`MAX_FRAME`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).ok().filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or_else(|| too_long(frame.len() - 4))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Writes one message.
pub async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?).await
}

/// Reads one message; none at the end of the stream. Not cancel-safe: a dropped read loses its place in the stream.
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    body(from, length).await.map(Some)
}

/// Reads the body of the frame that began with `length`.
pub(crate) async fn body<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), length: [u8; 4]) -> io::Result<T> {
    let length = u32::from_be_bytes(length);
    if length > MAX_FRAME {
        return Err(too_long(length as usize));
    }
    // Memory grows with what arrives, not with what is announced.
    let mut body = Vec::new();
    from.take(length.into()).read_to_end(&mut body).await?;
    if body.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&body)?)
}

fn too_long(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes: the longest allowed is {MAX_FRAME}"))
}
