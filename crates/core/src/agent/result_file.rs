//! The file `COORDINATOR_RESULT`, which an agent may write.

use crate::fleet::SessionResult;

/// Bytes of the file that are read on the machine of the agent.
pub const MAX_RESULT_BYTES: u64 = 64 * 1024;

/// What the agent wrote; `None` where that is not a JSON object. An odd field is as if it were absent.
pub fn read_result(_bytes: &[u8]) -> Option<SessionResult> {
    None
}

/// What the agent's output showed and what it wrote, as one. The output's cost counts, and the file's
/// where the output shows none.
pub fn combined(
    shown: Option<SessionResult>,
    written: Option<SessionResult>,
) -> Option<SessionResult> {
    shown.or(written)
}
