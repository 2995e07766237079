//! Reads what an operation writes: while it runs, and what is left when it has exited.

use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncReadExt};

const CHUNK_BYTES: usize = 16 << 10;

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    More,
    End,
}

/// Waits for the next piece. Cancelled, it has taken nothing.
pub(super) async fn read(pipe: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> Rest {
    into.reserve(CHUNK_BYTES);
    match pipe.read_buf(into).await {
        Ok(1..) => Rest::More,
        Ok(0) | Err(_) => Rest::End,
    }
}

/// The next piece of what was written until now. Its end is the end: whoever still has the pipe open is not waited for.
pub(super) fn left(pipe: &impl AsFd, into: &mut Vec<u8>) -> Rest {
    let mut chunk = [0; CHUNK_BYTES];
    // The pipe does not block, as everything that tokio reads: EAGAIN says that it is empty.
    match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut chunk)) {
        Ok(count @ 1..) => {
            into.extend_from_slice(&chunk[..count]);
            Rest::More
        }
        Ok(0) | Err(_) => Rest::End,
    }
}
