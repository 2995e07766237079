//! `[repository]`.

use coordinator_core::section::{ApiUrl, RepositoryName};

use super::Repository;

coordinator_core::section! {
    /// Whose pull requests may merge. Default: the merge step is not configured.
    #[schemars(extend("required" = ["name"]))]
    pub(super) struct Section {
        /// `owner/repo`.
        name: Option<RepositoryName> = None,
        /// Base of the REST API; GitHub Enterprise: `https://<host>/api/v3`.
        api_url: ApiUrl = "https://api.github.com".into(),
        /// The GraphQL endpoint. Default: `<api_url>/graphql`; for `https://<host>/api/v3`,
        /// `https://<host>/api/graphql`.
        graphql_url: Option<ApiUrl> = None,
    }
}

impl Section {
    /// `None` without a name.
    pub(super) fn repository(&self) -> Option<Repository> {
        let api_url = self.api_url.trim_end_matches('/');
        let graphql_url = self.graphql_url.as_ref().map_or_else(|| graphql_url(api_url), ToString::to_string);
        Repository::named(self.name.as_ref()?, api_url, &graphql_url).ok()
    }
}

/// GitHub Enterprise Server keeps REST under `/api/v3` and GraphQL beside it
/// (<https://docs.github.com/en/enterprise-server/graphql/guides/managing-enterprise-accounts>).
fn graphql_url(api_url: &str) -> String {
    match api_url.strip_suffix("/api/v3") {
        Some(host) => format!("{host}/api/graphql"),
        None => format!("{api_url}/graphql"),
    }
}
