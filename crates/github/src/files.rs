//! The files that a pull request changes: asked for only where some paths are protected.

use http::{HeaderName, Method};
use serde::Deserialize;

use super::{Error, Github};

const PAGE_SIZE: usize = 100;

/// GitHub lists no more than 3,000 files.
const MOST_PAGES: usize = 30;

impl Github {
    /// Every path that the pull request changes, old names of renamed files included. An error where the list may not
    /// be complete.
    pub async fn changed_paths(&self, number: u64) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct File {
            filename: String,
            #[serde(default)]
            previous_filename: Option<String>,
        }
        let repository = self.rest_url();
        let mut paths = Vec::new();
        for page in 1..=MOST_PAGES {
            let url = format!("{repository}/pulls/{number}/files?per_page={PAGE_SIZE}&page={page}");
            let answer =
                self.call(Method::GET, &url, None).await?.succeeded("list the files of a pull request")?;
            let files: Vec<File> = answer.json()?;
            // The page is counted, not followed by its `Link`, which could lead to another host.
            let more = files.len() == PAGE_SIZE
                || answer
                    .header(&HeaderName::from_static("link"))
                    .is_some_and(|link| link.contains("rel=\"next\""));
            paths.extend(
                files.into_iter().flat_map(|file| [Some(file.filename), file.previous_filename]).flatten(),
            );
            if !more {
                return Ok(paths);
            }
        }
        Err(Error::Failed(format!(
            "it changes {} files or more, GitHub lists no more",
            PAGE_SIZE * MOST_PAGES
        )))
    }
}
