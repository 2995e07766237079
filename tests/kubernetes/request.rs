//! Requests as they stand: manifests that no type has touched, and requests for somebody else.

use http::Request;
use http::request::Builder;
use serde_json::{Value, json};

use crate::cluster::Cluster;

impl Cluster {
    /// Sends a manifest as it stands, every field checked; gives back what the server made of it,
    /// or what it says.
    pub(crate) fn post(&self, path: &str, manifest: &Value) -> Result<Value, String> {
        self.ask(Request::post(format!("{path}?fieldValidation=Strict")), manifest)
    }

    /// The same, and nothing is kept.
    pub(crate) fn rehearse(&self, path: &str, manifest: &Value) -> Result<Value, String> {
        self.ask(Request::post(format!("{path}?fieldValidation=Strict&dryRun=All")), manifest)
    }

    /// The same as this service account.
    pub(crate) fn rehearse_as(
        &self,
        account: &str,
        path: &str,
        manifest: &Value,
    ) -> Result<Value, String> {
        let request = Request::post(format!("{path}?fieldValidation=Strict&dryRun=All"));
        self.ask(request.header("Impersonate-User", self.username(account)), manifest)
    }

    /// Replaces an object as this service account, or says why not.
    pub(crate) fn replace_as(
        &self,
        account: &str,
        path: &str,
        manifest: &Value,
    ) -> Result<Value, String> {
        let request = Request::put(format!("{path}?fieldValidation=Strict"));
        self.ask(request.header("Impersonate-User", self.username(account)), manifest)
    }

    /// Deletes a Job as this service account, or says why not.
    pub(crate) fn delete_as(&self, account: &str, job: &str) -> Result<Value, String> {
        let request = Request::delete(format!("{}/{job}", self.jobs_path()));
        let options = json!({ "propagationPolicy": "Background" });
        self.ask(request.header("Impersonate-User", self.username(account)), &options)
    }

    fn ask(&self, request: Builder, body: &Value) -> Result<Value, String> {
        let request =
            request.header("Content-Type", "application/json").body(body.to_string().into_bytes());
        let request = request.expect("a valid request");
        self.wait(self.client.request(request)).map_err(|error| error.to_string())
    }
}
