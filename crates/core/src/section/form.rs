//! How single texts of the platforms look, by their own rules: one pattern for the check and for
//! the JSON schema.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

use regex::Regex;
use serde_json::{Value, json};

use super::text::FromText;

/// A character that gives a mistake away, and what is wrong then.
pub type Clue = (fn(char) -> bool, &'static str);

/// What a text must look like.
#[derive(Debug)]
pub struct Form {
    /// What a person calls it.
    pub title: &'static str,
    /// The whole text, in what the expressions of Rust and of JSON schemas have in common.
    pub pattern: &'static str,
    /// In bytes.
    pub max_length: usize,
    /// What to write.
    pub rule: &'static str,
    /// Likely mistakes: the first whose character is in the text is named instead of the rule.
    pub mistakes: &'static [Clue],
    compiled: OnceLock<Option<Regex>>,
}

impl Form {
    fn check(&self, text: &str) -> Result<(), String> {
        if text.len() > self.max_length {
            return Err(format!("at most {} characters", self.max_length));
        }
        let compiled = self.compiled.get_or_init(|| Regex::new(self.pattern).ok());
        if compiled.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
            return Ok(());
        }
        let mistake = self.mistakes.iter().find(|(has, _)| text.contains(*has));
        Err(mistake.map_or(self.rule, |(_, why)| why).to_owned())
    }
}

/// A kind of text that has a form.
pub trait HasForm {
    /// The form.
    fn form() -> &'static Form;
}

/// A text of the form `F`.
pub struct Formed<F>(String, PhantomData<F>);

impl<F: HasForm> FromText for Formed<F> {
    fn schema() -> Value {
        let Form { title, pattern, max_length, .. } = F::form();
        json!({"title": title, "pattern": pattern, "maxLength": max_length})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        F::form().check(text)?;
        Ok(Self(text.to_owned(), PhantomData))
    }
}

/// A default, which is not checked.
impl<F> From<&str> for Formed<F> {
    fn from(text: &str) -> Self {
        Self(text.to_owned(), PhantomData)
    }
}

impl<F> From<Formed<F>> for String {
    fn from(text: Formed<F>) -> Self {
        text.0
    }
}

impl<F> Deref for Formed<F> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<F> Clone for Formed<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<F> PartialEq for Formed<F> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<F> Eq for Formed<F> {}

impl<F> PartialOrd for Formed<F> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<F> Ord for Formed<F> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<F> fmt::Debug for Formed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F> fmt::Display for Formed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

crate::text_value!([F: HasForm] Formed<F>);

macro_rules! forms {
    ($(
        $(#[$about:meta])*
        $name:ident as $form:ident {
            title: $title:literal,
            pattern: $pattern:literal,
            max_length: $max_length:literal,
            rule: $rule:literal,
            mistakes: $mistakes:expr,
        }
    )*) => {
        /// Which texts have a form.
        mod forms {
            use super::{Form, HasForm, OnceLock};
            $(
                $(#[$about])*
                #[derive(Debug)]
                pub struct $form;

                impl HasForm for $form {
                    fn form() -> &'static Form {
                        static FORM: Form = Form {
                            title: $title,
                            pattern: $pattern,
                            max_length: $max_length,
                            rule: $rule,
                            mistakes: $mistakes,
                            compiled: OnceLock::new(),
                        };
                        &FORM
                    }
                }
            )*
        }
        $(
            $(#[$about])*
            pub type $name = Formed<forms::$form>;
        )*
    };
}

forms! {
    /// A reference to an image (<https://pkg.go.dev/github.com/distribution/reference>).
    Image as ImageForm {
        title: "image",
        pattern: r"^(([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(:[0-9]+)?/)?[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[a-z0-9]+([-+._][a-z0-9]+)*:[0-9a-fA-F]{32,})?$",
        max_length: 512,
        rule: "write an image such as `images.example.com/team/agent:1.0`, without `https://`",
        mistakes: &[
            (char::is_control, "an image has no control characters"),
            (char::is_whitespace, "an image has no spaces"),
            (
                |c| c.is_ascii_uppercase(),
                "write an image such as `images.example.com/team/agent:1.0`: its path is lower case",
            ),
        ],
    }

    /// A label of the domain name system (RFC 1123).
    DnsLabel as DnsLabelForm {
        title: "name",
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length: 63,
        rule: "write a name of a-z, 0-9 and `-`, with a letter or digit at both ends",
        mistakes: &[],
    }

    /// A name of the domain name system (RFC 1123), as most objects of a cluster have.
    DnsName as DnsNameForm {
        title: "name",
        pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length: 253,
        rule: "write a name of a-z, 0-9, `-` and `.`, with a letter or digit at both ends",
        mistakes: &[],
    }

    /// The key of a label or taint
    /// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>).
    LabelKey as LabelKeyForm {
        title: "label",
        pattern: r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        max_length: 317,
        rule: "write a label such as `disktype` or `kubernetes.io/arch`",
        mistakes: &[],
    }

    /// The value of a label or taint.
    LabelValue as LabelValueForm {
        title: "text",
        pattern: "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length: 63,
        rule: "write letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
        mistakes: &[],
    }

    /// An amount, not negative
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
    Quantity as QuantityForm {
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
    }

    /// What a container may ask for.
    Resource as ResourceForm {
        title: "resource",
        pattern: r"^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$",
        max_length: 317,
        rule: "write `cpu`, `memory`, `ephemeral-storage`, or a device such as `nvidia.com/gpu`",
        mistakes: &[],
    }

    /// The file of a workflow: it is one folder's, never a path.
    Workflow as WorkflowForm {
        title: "file name",
        pattern: r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\.ya?ml$",
        max_length: 128,
        rule: "write a file name such as `agent-session.yml`",
        mistakes: &[(
            |c| c == '/',
            "write the file's name alone: workflows are in `.github/workflows`",
        )],
    }

    /// A branch or tag, without what a URL or a shell would read otherwise.
    Branch as BranchForm {
        title: "branch",
        pattern: r"^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$",
        max_length: 255,
        rule: "write a branch such as `main`",
        mistakes: &[],
    }
}
