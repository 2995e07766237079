//! The kubeconfig: its files, its context, and the files and the program that it names.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use kube::client::AuthError;
use kube::config::{
    AuthInfo, Cluster, Config, ExecConfig, KubeConfigOptions, Kubeconfig, KubeconfigError,
};

use coordinator_core::sanitize::one_line;

use super::connect::innermost;

/// The message of a YAML parser can quote a large part of the file.
const MAX_PROBLEM: usize = 300;

/// From the kubeconfig that `KUBECONFIG` names, else `~/.kube/config`; without a usable one, from
/// the service account of the pod that this program runs in. With `context` only a kubeconfig will
/// do. The error is one line.
pub(super) async fn configuration(context: Option<&str>) -> anyhow::Result<Config> {
    if let Some(context) = context {
        return from_files(Some(context)).await.with_context(|| {
            format!("use the context {context:?} of the kubeconfig; `--context` names it")
        });
    }
    match from_files(None).await {
        Ok(config) => Ok(config),
        Err(why) => Config::incluster().map_err(|_| {
            anyhow::anyhow!(
                "no cluster: {why:#}; name a kubeconfig in KUBECONFIG, or run in a pod with a \
                 service account"
            )
        }),
    }
}

async fn from_files(context: Option<&str>) -> anyhow::Result<Config> {
    let kubeconfig = read()?;
    check_named_files(&kubeconfig, context)?;
    let options =
        KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.map_err(|error| anyhow::anyhow!(problem(&error)))
}

/// All files of `KUBECONFIG`, merged. As with kubectl, a file that does not exist is skipped; at
/// least one must exist.
pub(super) fn read() -> anyhow::Result<Kubeconfig> {
    let files = files()?;
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|file| file.exists()) {
        let next = Kubeconfig::read_from(file);
        let next = next.map_err(|error| anyhow::anyhow!(problem(&error)))?;
        merged = Some(match merged {
            None => next,
            Some(merged) => merged
                .merge(next)
                .with_context(|| format!("merge {} into KUBECONFIG", file.display()))?,
        });
    }
    merged.with_context(|| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        format!("no kubeconfig at {}", files.join(" or "))
    })
}

fn files() -> anyhow::Result<Vec<PathBuf>> {
    let named = env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> =
        env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let home = env::home_dir().context("the home directory of ~/.kube/config is unknown")?;
    Ok(vec![home.join(".kube/config")])
}

/// The SDK reports a missing file without its path.
fn check_named_files(kubeconfig: &Kubeconfig, context: Option<&str>) -> anyhow::Result<()> {
    let Some(name) = context.or(kubeconfig.current_context.as_deref()) else { return Ok(()) };
    let context = kubeconfig.contexts.iter().find(|named| named.name == name);
    let Some(context) = context.and_then(|named| named.context.as_ref()) else { return Ok(()) };
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster);
    if let Some(cluster) = cluster.and_then(|named| named.cluster.as_ref()) {
        check_authority(cluster, &context.cluster)?;
    }
    let user = context.user.as_deref().unwrap_or_default();
    let named = kubeconfig.auth_infos.iter().find(|named| named.name == user);
    named.and_then(|named| named.auth_info.as_ref()).map_or(Ok(()), |info| check_user(info, user))
}

fn check_authority(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let path = cluster.certificate_authority.as_ref();
    match path.filter(|_| cluster.certificate_authority_data.is_none()) {
        Some(path) => check_file(path, &format!("`certificate-authority` of cluster {name:?}")),
        None => Ok(()),
    }
}

fn check_user(user: &AuthInfo, name: &str) -> anyhow::Result<()> {
    let files = [
        ("client-certificate", &user.client_certificate, user.client_certificate_data.is_some()),
        ("client-key", &user.client_key, user.client_key_data.is_some()),
        ("tokenFile", &user.token_file, user.token.is_some()),
    ];
    for (key, path, has_data) in files {
        if let Some(path) = path.as_ref().filter(|_| !has_data) {
            check_file(path, &format!("`{key}` of user {name:?}"))?;
        }
    }
    Ok(())
}

fn check_file(path: &str, what: &str) -> anyhow::Result<()> {
    ensure!(!path.is_empty(), "{what} in the kubeconfig is empty; name a file");
    // A pipe is not opened: that would wait for its writer, or take what it wrote.
    let found = fs::metadata(path);
    let read = found.and_then(|it| if it.is_file() { File::open(path).map(drop) } else { Ok(()) });
    match read {
        Ok(()) => Ok(()),
        Err(why) => bail!(
            "cannot read {path}: {why}; it is the {what} in the kubeconfig: correct the path, or \
             have the kubeconfig written anew"
        ),
    }
}

/// Why the kubeconfig gives no credentials, in one line. What the program that fetches them wrote
/// to its standard output is left out: it may be a token.
pub(super) fn refused_credentials(error: &kube::Error, exec: Option<&ExecConfig>) -> String {
    let command = exec.and_then(|exec| exec.command.as_deref()).unwrap_or_default();
    let hint = exec.and_then(|exec| exec.install_hint.as_deref());
    let program = format!("the program {command:?}, which the kubeconfig runs for credentials,");
    match error {
        kube::Error::Auth(AuthError::AuthExecStart(why)) => {
            let remedy = "install it, or correct `command` below `exec` in the kubeconfig";
            let remedy = hint.map_or_else(|| remedy.to_owned(), |hint| one_line(hint, MAX_PROBLEM));
            format!("{program} cannot be started: {why}; {remedy}")
        }
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let errors = one_line(&String::from_utf8_lossy(&out.stderr), MAX_PROBLEM);
            let errors = if errors.is_empty() { String::new() } else { format!(": {errors}") };
            format!("{program} failed ({}){errors}; run it by hand, or log in anew", out.status)
        }
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            format!("{program} printed no ExecCredential; run it by hand, or log in anew")
        }
        error => innermost(error),
    }
}

/// What is wrong with a kubeconfig, with the file's path where there is one, in one line.
fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(why, path) => format!("cannot read {}: {why}", path.display()),
        error => one_line(&innermost(error), MAX_PROBLEM),
    }
}
