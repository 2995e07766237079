//! How text leaves the program: made harmless, then without secrets, then cut and laid out. In any
//! other order a secret could be taken apart and not be found.

use std::borrow::Cow;

use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

/// Characters of a sentence. A title has at most 256, a sentence of ours fewer than this.
pub(crate) const MAX_SENTENCE: usize = 600;
/// Characters of a line that names several things.
pub(crate) const MAX_LINE: usize = 2_000;

/// Text on one line of at most `max` characters.
pub(crate) fn shown(text: &str, max: usize, secrets: &Secrets) -> String {
    one_line(&secrets.mask(&one_line(text, usize::MAX)), max)
}

/// Text as it is, for programs. Invisible characters do not keep a secret apart.
pub(crate) fn exact<'a>(text: &'a str, secrets: &Secrets) -> Cow<'a, str> {
    match secrets.mask(&one_line(text, usize::MAX)) {
        Cow::Owned(masked) if secrets.mask(text) == text => Cow::Owned(masked),
        Cow::Owned(_) | Cow::Borrowed(_) => secrets.mask(text),
    }
}
