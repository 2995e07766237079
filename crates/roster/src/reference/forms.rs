//! How single texts of the platforms look, by their own rules: one pattern for the validation and for the JSON schema.

use std::sync::OnceLock;

use regex::Regex;

/// What a text must look like.
#[derive(Debug)]
pub struct Form {
    /// What a person calls it.
    pub word: &'static str,
    /// The whole text.
    pub pattern: Pattern,
    /// In bytes.
    pub longest: usize,
    /// What to write.
    pub rule: &'static str,
    /// The first whose character is in the text is told instead of the rule.
    pub slips: &'static [Slip],
}

/// A regular expression, in what Rust's and those of JSON schemas have in common.
#[derive(Debug)]
pub struct Pattern {
    /// As it is written.
    pub text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    const fn of(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.text).ok());
        compiled.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }
}

/// A likely mistake.
#[derive(Debug)]
pub struct Slip {
    /// Finds it by a character.
    pub has: fn(char) -> bool,
    /// What is wrong.
    pub why: &'static str,
}

impl Form {
    /// Whether `text` has this form, or what is wrong with it.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        if text.len() > self.longest {
            return Err(format!("at most {} characters", self.longest));
        }
        if self.pattern.matches(text) {
            return Ok(());
        }
        let slip = self.slips.iter().find(|slip| text.contains(slip.has));
        Err(slip.map_or(self.rule, |slip| slip.why).to_owned())
    }
}

/// A reference to an image (<https://pkg.go.dev/github.com/distribution/reference>).
pub(super) static IMAGE: Form = Form {
    word: "image",
    pattern: Pattern::of(
        r"^(([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(:[0-9]+)?/)?[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[a-z0-9]+([-+._][a-z0-9]+)*:[0-9a-fA-F]{32,})?$",
    ),
    longest: 512,
    rule: "write an image such as `images.example.com/team/agent:1.0`, without `https://`",
    slips: &[
        Slip { has: char::is_control, why: "an image has no control characters" },
        Slip { has: char::is_whitespace, why: "an image has no spaces" },
        Slip {
            has: |c| c.is_ascii_uppercase(),
            why: "write an image such as `images.example.com/team/agent:1.0`: its path is lower case",
        },
    ],
};

/// A label of the domain name system (RFC 1123).
pub(super) static DNS_LABEL: Form = Form {
    word: "name",
    pattern: Pattern::of("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    longest: 63,
    rule: "write a name of a-z, 0-9 and `-`, with a letter or digit at both ends",
    slips: &[],
};

/// A name of the domain name system (RFC 1123), as most objects of a cluster have.
pub(super) static DNS_NAME: Form = Form {
    word: "name",
    pattern: Pattern::of(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
    longest: 253,
    rule: "write a name of a-z, 0-9, `-` and `.`, with a letter or digit at both ends",
    slips: &[],
};

/// The key of a label or taint
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
pub(super) static LABEL_KEY: Form = Form {
    word: "label",
    pattern: Pattern::of(
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
    longest: 317,
    rule: "write a label such as `disktype` or `kubernetes.io/arch`",
    slips: &[],
};

/// The value of a label or taint.
pub(super) static LABEL_VALUE: Form = Form {
    word: "text",
    pattern: Pattern::of("^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"),
    longest: 63,
    rule: "write letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
    slips: &[],
};

/// An amount (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>), not negative.
pub(super) static QUANTITY: Form = Form {
    word: "quantity",
    pattern: Pattern::of(r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"),
    longest: 40,
    rule: "write a quantity such as \"500m\", \"2\" or \"1Gi\"",
    slips: &[
        Slip { has: char::is_whitespace, why: "a quantity has no spaces" },
        Slip { has: |c| c == '-', why: "a quantity is not negative" },
        Slip { has: |c| c == 'B', why: "write a quantity such as \"1Gi\": its unit has no `B`" },
        Slip { has: |c| c == 'K', why: "write `k` for thousands, `Ki` for 1024" },
    ],
};

/// What a container may ask for.
pub(super) static RESOURCE: Form = Form {
    word: "resource",
    pattern: Pattern::of(
        r"^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$",
    ),
    longest: 317,
    rule: "write `cpu`, `memory`, `ephemeral-storage`, or a device such as `nvidia.com/gpu`",
    slips: &[],
};

/// The file of a workflow: it is one folder's, never a path.
pub(super) static WORKFLOW: Form = Form {
    word: "file name",
    pattern: Pattern::of(r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\.ya?ml$"),
    longest: 128,
    rule: "write a file name such as `agent-session.yml`",
    slips: &[Slip {
        has: |c| c == '/',
        why: "write the file's name alone: workflows are in `.github/workflows`",
    }],
};

/// A branch or tag, without what a URL or a shell would read otherwise.
pub(super) static BRANCH: Form = Form {
    word: "branch",
    pattern: Pattern::of(r"^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$"),
    longest: 255,
    rule: "write a branch such as `main`",
    slips: &[],
};
