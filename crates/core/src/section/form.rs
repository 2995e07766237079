//! How single texts of the platforms look, by their own rules: one pattern for the check and for
//! the JSON schema.

use std::fmt;
use std::ops::Deref;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::text::{FromText, texts};

/// A character that gives a mistake away, and what is wrong then.
type Clue = (fn(char) -> bool, &'static str);

/// What a text must look like.
struct Form {
    /// What a person calls it.
    title: &'static str,
    /// The whole text, in what the expressions of Rust and of JSON schemas have in common.
    pattern: &'static str,
    /// In bytes.
    max_length: usize,
    /// What to write.
    rule: &'static str,
    /// Likely mistakes: the first whose character is in the text is named instead of the rule.
    mistakes: &'static [Clue],
}

impl Form {
    fn schema(&self) -> Value {
        json!({"title": self.title, "pattern": self.pattern, "maxLength": self.max_length})
    }

    fn check(&self, pattern: Option<&Regex>, text: &str) -> Result<(), String> {
        if text.len() > self.max_length {
            return Err(format!("at most {} characters", self.max_length));
        }
        if pattern.is_some_and(|pattern| pattern.is_match(text)) {
            return Ok(());
        }
        let mistake = self.mistakes.iter().find(|(has, _)| text.contains(*has));
        Err(mistake.map_or(self.rule, |(_, why)| why).to_owned())
    }
}

macro_rules! forms {
    ($($(#[$about:meta])* $name:ident: $form:expr;)*) => {texts! {$(
        $(#[$about])*
        $name: { const FORM: Form = $form; FORM.schema() }, |text| {
            const FORM: Form = $form;
            static PATTERN: LazyLock<Option<Regex>> =
                LazyLock::new(|| Regex::new(FORM.pattern).ok());
            FORM.check(PATTERN.as_ref(), text)
        };
    )*}};
}

forms! {
    /// A reference to an image (<https://pkg.go.dev/github.com/distribution/reference>).
    Image: Form {
        title: "image",
        pattern: concat!(
            r"^(([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*",
            r"|\[[0-9a-fA-F:]+\])(:[0-9]+)?/)?",
            r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
            r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?",
            r"(@[a-z0-9]+([-+._][a-z0-9]+)*:[0-9a-fA-F]{32,})?$",
        ),
        max_length: 512,
        rule: "write an image such as `images.example.com/team/agent:1.0`, without `https://`",
        mistakes: &[
            (char::is_control, "an image has no control characters"),
            (char::is_whitespace, "an image has no spaces"),
            (
                |c| c.is_ascii_uppercase(),
                "write an image such as `images.example.com/team/agent:1.0`: its path is lower \
                case",
            ),
        ],
    };

    /// A label of the domain name system (RFC 1123).
    DnsLabel: Form {
        title: "name",
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length: 63,
        rule: "write a name of a-z, 0-9 and `-`, with a letter or digit at both ends",
        mistakes: &[],
    };

    /// A name of the domain name system (RFC 1123), as most objects of a cluster have.
    DnsName: Form {
        title: "name",
        pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length: 253,
        rule: "write a name of a-z, 0-9, `-` and `.`, with a letter or digit at both ends",
        mistakes: &[],
    };

    /// The key of a label or taint
    /// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>).
    LabelKey: Form {
        title: "label",
        pattern: concat!(
            r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
            r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        ),
        max_length: 317,
        rule: "write a label such as `disktype` or `kubernetes.io/arch`",
        mistakes: &[],
    };

    /// The value of a label or taint.
    LabelValue: Form {
        title: "text",
        pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length: 63,
        rule: "write letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
        mistakes: &[],
    };

    /// An amount, not negative
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
    Quantity: Form {
        title: "quantity",
        pattern: r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$",
        max_length: 40,
        rule: "write a quantity such as \"500m\", \"2\" or \"1Gi\"",
        mistakes: &[
            (char::is_whitespace, "a quantity has no spaces"),
            (|c| c == '-', "a quantity is not negative"),
            (|c| c == 'B', "write a quantity such as \"1Gi\": its unit has no `B`"),
            (|c| c == 'K', "write `k` for thousands, `Ki` for 1024"),
        ],
    };

    /// What a container may ask for.
    Resource: Form {
        title: "resource",
        pattern: concat!(
            r"^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i",
            r"|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            r"/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$",
        ),
        max_length: 317,
        rule: "write `cpu`, `memory`, `ephemeral-storage`, or a device such as `nvidia.com/gpu`",
        mistakes: &[],
    };

    /// The file of a workflow: it is one folder's, never a path.
    Workflow: Form {
        title: "file name",
        pattern: r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\.ya?ml$",
        max_length: 128,
        rule: "write a file name such as `agent-session.yml`",
        mistakes: &[(
            |c| c == '/',
            "write the file's name alone: workflows are in `.github/workflows`",
        )],
    };

    /// A branch or tag, without what a URL or a shell would read otherwise.
    Branch: Form {
        title: "branch",
        pattern: r"^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$",
        max_length: 255,
        rule: "write a branch such as `main`",
        mistakes: &[],
    };
}
