//! Why something could not be read from GitHub.

use std::fmt;

use coordinator_core::report::RateLimit;

/// A read that failed. Its text is one line, safe to show, and carries no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No further request is welcome before the time it names.
    RateLimited(RateLimit),
    /// 502, 504, or a 200 that says so: the question was too big, or GitHub too slow.
    Overloaded(String),
    /// Anything else.
    Failed(String),
}

impl Error {
    /// The rate limit, if that is why.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        match self {
            Self::RateLimited(limit) => Some(limit),
            Self::Overloaded(_) | Self::Failed(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(limit) => {
                f.write_str("GitHub's rate limit is used up")?;
                if let Some(time) = limit.resets_at {
                    write!(f, " until {}", humantime::format_rfc3339_seconds(time))?;
                }
                if limit.said.is_empty() { Ok(()) } else { write!(f, "; GitHub says: {}", limit.said) }
            }
            Self::Overloaded(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
