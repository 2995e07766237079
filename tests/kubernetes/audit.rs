//! The API server's own log of requests: see tests/cluster/README.md.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// The log from one moment on.
pub(crate) struct Audit {
    path: PathBuf,
    from: u64,
}

impl Audit {
    /// From now on.
    pub(crate) fn new() -> Self {
        let whole = Self::whole();
        let from = whole.path.metadata().expect("the audit log is there").len();
        Self { from, ..whole }
    }

    /// From the API server's start on.
    pub(crate) fn whole() -> Self {
        let path = std::env::var_os("COORDINATOR_TEST_AUDIT")
            .expect("COORDINATOR_TEST_AUDIT names the audit log");
        Self { path: PathBuf::from(path), from: 0 }
    }

    /// The requests of one namespace that were answered since, of clients whose user agent
    /// `is_meant`.
    pub(crate) fn requests(&self, namespace: &str, is_meant: impl Fn(&str) -> bool) -> Vec<Value> {
        let mut file = File::open(&self.path).expect("the audit log can be read");
        file.seek(SeekFrom::Start(self.from)).expect("it has not shrunk");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("it is UTF-8");
        // The last line may be half written; it is not of a request that anybody waited for.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        // To look for the name first is quick; the log may be long.
        let lines = whole.lines().filter(|line| line.contains(namespace));
        let lines = lines.map(|line| serde_json::from_str(line).expect("each line is JSON"));
        let of_namespace = lines.filter(|line: &Value| line["objectRef"]["namespace"] == namespace);
        of_namespace
            .filter(|line| line["stage"] == "ResponseComplete")
            .filter(|line| is_meant(line["userAgent"].as_str().unwrap_or_default()))
            .collect()
    }
}
