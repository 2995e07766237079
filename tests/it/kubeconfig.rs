//! The kubeconfig: what is missing is named with its path and the remedy.

use crate::coordinator;
use testkit::kubernetes::Kubernetes;
use testkit::workplace::RosterText;
use testkit::{BEARER, Finished, Workplace};

fn fleet() -> Workplace {
    RosterText::kubernetes("").role("ui_builder", 1, "[\"agent\", \"{prompt}\"]").write()
}

/// Runs `sessions` with this value of `KUBECONFIG`.
fn sessions(workplace: &Workplace, kubeconfig: &str) -> Finished {
    coordinator(workplace).env("KUBECONFIG", kubeconfig).args(["sessions"]).run()
}

/// The one error of `sessions` with a kubeconfig whose user has these lines instead of a token.
fn refused(user: &str) -> String {
    let (workplace, cluster) = (fleet(), Kubernetes::start());
    let config = cluster.kubeconfig().replace(&format!("token: {BEARER}"), user);
    workplace.write("kubeconfig.yaml", config);
    let finished = sessions(&workplace, "kubeconfig.yaml");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    unwrapped(&finished)
}

/// The error in one line, however wide the terminal is.
fn unwrapped(finished: &Finished) -> String {
    finished.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_missing_token_file_is_named_with_its_path_and_its_user() {
    let error = refused("tokenFile: /nowhere/token");
    for part in ["cannot read /nowhere/token: No such file", "`tokenFile` of user \"coordinator\""]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_missing_program_for_credentials_is_named_with_what_its_author_advises() {
    let exec = "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      \
        interactiveMode: Never\n      command: no-such-plugin";
    let error = refused(exec);
    for part in ["\"no-such-plugin\"", "cannot be started: No such file", "install it"] {
        assert!(error.contains(part), "{error}");
    }
    let error = refused(&format!("{exec}\n      installHint: read example.com/login"));
    assert!(error.contains("read example.com/login"), "{error}");
}

#[test]
fn a_program_for_credentials_that_fails_is_quoted_without_its_output() {
    let (key, script) = (
        "secret-token-of-the-output",
        "echo secret-token-of-the-output; echo log in first >&2; exit 3",
    );
    let error = refused(&format!(
        "exec:\n      apiVersion: client.authentication.k8s.io/v1\n      \
         interactiveMode: Never\n      command: sh\n      args: [-c, \"{script}\"]"
    ));
    for part in ["\"sh\"", "exit status: 3", "log in first"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains(key), "{error}");
}

#[test]
fn a_missing_authority_is_named_with_its_path_and_its_cluster() {
    let (workplace, cluster) = (fleet(), Kubernetes::start());
    let config = cluster.kubeconfig();
    let with_authority = "  cluster:\n    certificate-authority: ca/missing.crt\n";
    workplace.write("kubeconfig.yaml", config.replacen("  cluster:\n", with_authority, 1));
    let error = unwrapped(&sessions(&workplace, "kubeconfig.yaml"));
    for part in ["ca/missing.crt: No such file", "`certificate-authority` of cluster \"world\""] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn files_of_the_variable_that_do_not_exist_are_skipped() {
    let (workplace, cluster) = (fleet(), Kubernetes::start());
    workplace.write("kubeconfig.yaml", cluster.kubeconfig());
    let finished = sessions(&workplace, "/nowhere/one.yaml:kubeconfig.yaml:/nowhere/two.yaml");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let error = unwrapped(&sessions(&workplace, "/nowhere/one.yaml:/nowhere/two.yaml"));
    let both = "no kubeconfig at /nowhere/one.yaml or /nowhere/two.yaml";
    assert!(error.contains(both) && error.contains("KUBECONFIG"), "{error}");
}
