//! What sessions left and their platform cannot remove.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// More are counted.
const MAX_NAMED: usize = 3;

/// A file or directory of an old session that belongs to another user, for instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Absolute.
    pub path: PathBuf,
    /// Of all files below it that could be seen.
    pub bytes: u64,
}

impl Leftover {
    /// How many there are, the first few by path and size, and what to do; `None` without any.
    pub fn describe(leftovers: &[Self]) -> Option<(String, String)> {
        let first = leftovers.first()?;
        let named: Vec<String> = leftovers.iter().take(MAX_NAMED).map(Self::with_size).collect();
        let named = named.join(", ");
        let signal = match (leftovers.len(), leftovers.len().saturating_sub(MAX_NAMED)) {
            (1, _) => format!("a leftover of an old session cannot be removed: {named}"),
            (all, 0) => format!("{all} leftovers of old sessions cannot be removed: {named}"),
            (all, more) => format!(
                "{all} leftovers of old sessions cannot be removed: {named} and {more} more"
            ),
        };
        let path = first.path.display();
        let action = format!("remove them as the owner of their files: `sudo rm -r {path}`");
        Some((signal, action))
    }

    fn with_size(&self) -> String {
        let size = match self.bytes {
            bytes @ ..1024 => format!("{bytes} B"),
            bytes @ ..0x10_0000 => format!("{} KiB", bytes >> 10),
            bytes => format!("{} MiB", bytes >> 20),
        };
        format!("{} (at least {size})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_named_with_their_size_and_beyond_three_counted() {
        assert_eq!(Leftover::describe(&[]), None);
        let of = |bytes| Leftover { path: PathBuf::from("/state/demo/.trash/a"), bytes };
        let (signal, action) = Leftover::describe(&[of(12)]).expect("one");
        assert_eq!(
            signal,
            "a leftover of an old session cannot be removed: /state/demo/.trash/a (at least 12 B)"
        );
        assert!(action.ends_with("`sudo rm -r /state/demo/.trash/a`"), "{action}");
        let (signal, _) =
            Leftover::describe(&[of(1023), of(1024), of(5 << 20), of(0), of(0)]).expect("five");
        for part in ["5 leftovers", "1023 B", "1 KiB", "5 MiB", " and 2 more"] {
            assert!(signal.contains(part), "{signal}");
        }
    }
}
