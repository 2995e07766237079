//! The log of a job. GitHub answers with a short-lived address at another host, which must never
//! see the token.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use octocrab::OctoBody;
use serde::Deserialize;

use crate::request::{no_answer, root_cause, shown};
use crate::{Error, Github};

use super::{RunStatus, Workflow, segment};

/// For the whole download: logs may be large.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(120);

const WHAT: &str = "fetch the job's log";

/// A job of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunJob {
    pub id: u64,
    /// As the workflow names it.
    pub name: String,
    pub status: RunStatus,
    /// Its page, for people; safe to show.
    pub url: Option<String>,
}

/// The end of a log: untrusted text, in which GitHub has masked the repository's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobLog {
    /// All that there is of it.
    Whole(Bytes),
    /// It is longer; this begins with a whole line.
    Tail(Bytes),
    /// GitHub has none, or none any more.
    None,
}

impl Workflow {
    /// The jobs of a run, each as it was run last.
    pub async fn run_jobs(&self, run: u64) -> Result<Vec<RunJob>, Error> {
        #[derive(Deserialize)]
        struct Body {
            jobs: Vec<JobBody>,
        }
        #[derive(Deserialize)]
        struct JobBody {
            id: u64,
            name: String,
            status: String,
            html_url: Option<String>,
        }
        let answer = self.get(&format!("actions/runs/{run}/jobs?per_page=100")).await?;
        let body: Body = answer.succeeded("list the jobs of the run")?.json()?;
        let jobs = body.jobs.into_iter().map(|job| RunJob {
            id: job.id,
            name: job.name,
            status: RunStatus::from_word(&job.status),
            url: job.html_url.as_deref().map(shown),
        });
        Ok(jobs.collect())
    }

    /// The last `most` bytes of a job's log, which GitHub keeps from the job's end on.
    pub async fn job_log(&self, job: u64, most: usize) -> Result<JobLog, Error> {
        let answer = self.get(&format!("actions/jobs/{}/logs", segment(&job.to_string()))).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(JobLog::None);
        }
        if !answer.status.is_redirection() {
            let mut tail = Tail::new(most);
            tail.push(&answer.succeeded(WHAT)?.body);
            return Ok(tail.end());
        }
        let place =
            download_address(answer.header(&LOCATION).unwrap_or_default()).map_err(failed)?;
        self.reserve(1)?;
        let download =
            tokio::time::timeout(DOWNLOAD_TIMEOUT, self.github.download(place, most)).await;
        let seconds = DOWNLOAD_TIMEOUT.as_secs();
        let download = download.unwrap_or_else(|_| Err(format!("timed out after {seconds} s")));
        download.map_err(|why| failed(&why))
    }
}

impl Github {
    /// Fetches without credentials, and follows no further redirect.
    async fn download(&self, place: Uri, most: usize) -> Result<JobLog, String> {
        let request = http::Request::get(place).body(OctoBody::empty());
        let request = request.map_err(|error| format!("its URL is invalid: {error}"))?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.octocrab.send(request).await.map_err(|error| no_answer(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("its storage answered {}", response.status().as_u16()));
        }
        let mut body = response.into_body();
        let mut tail = Tail::new(most);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| format!("it broke off: {}", root_cause(&error)))?;
            if let Some(data) = frame.data_ref() {
                tail.push(data);
            }
        }
        Ok(tail.end())
    }
}

/// The address is a credential, so no error quotes it.
fn download_address(text: &str) -> Result<Uri, &'static str> {
    const REFUSED: &str =
        "GitHub sends to an address that is not https, and nothing was fetched from there";
    let uri: Uri = text.parse().map_err(|_| REFUSED)?;
    let host = uri.host().unwrap_or_default();
    let is_loopback = ["127.0.0.1", "[::1]", "localhost"].contains(&host);
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(uri),
        Some("http") if is_loopback => Ok(uri),
        Some(_) | None => Err(REFUSED),
    }
}

fn failed(why: &str) -> Error {
    Error::Failed(format!("could not {WHAT}: {why}"))
}

/// Keeps the end of what comes, in memory that does not grow with it.
struct Tail {
    bytes: BytesMut,
    most: usize,
    is_cut: bool,
}

impl Tail {
    fn new(most: usize) -> Self {
        Self { bytes: BytesMut::new(), most, is_cut: false }
    }

    fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        if self.bytes.len() > 2 * self.most {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.most);
        if surplus > 0 {
            self.bytes = BytesMut::from(&self.bytes[surplus..]);
            self.is_cut = true;
        }
    }

    fn end(mut self) -> JobLog {
        self.cut();
        let bytes = self.bytes.freeze();
        if !self.is_cut {
            return JobLog::Whole(bytes);
        }
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        JobLog::Tail(bytes.slice(line..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_comes_from_https_or_this_machine_alone() {
        for good in [
            "https://logs.example.com/a?sig=x",
            "http://127.0.0.1:81/a",
            "http://[::1]:81/",
            "http://localhost/a",
        ] {
            assert!(download_address(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/relative",
            "http://logs.example.com/a",
            "http://127.0.0.1.example.com/a",
            "http://127.0.0.1@logs.example.com/a",
            "ftp://logs.example.com/a",
            "file:///etc/passwd",
            "https://",
        ] {
            assert!(download_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_end_of_a_log_begins_with_a_whole_line() {
        let tail = |pieces: &[&str], most| {
            let mut tail = Tail::new(most);
            for piece in pieces {
                tail.push(piece.as_bytes());
            }
            tail.end()
        };
        assert_eq!(tail(&["one\n", "two\n"], 8), JobLog::Whole("one\ntwo\n".into()));
        assert_eq!(tail(&["one\n", "two\n"], 7), JobLog::Tail("two\n".into()));
        let long: Vec<&str> = std::iter::repeat_n("line\n", 1000).collect();
        assert_eq!(tail(&long, 12), JobLog::Tail("line\nline\n".into()));
        assert_eq!(tail(&["endless"], 3), JobLog::Tail("ess".into()));
    }
}
