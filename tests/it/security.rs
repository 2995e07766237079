//! Who can read the token: only the two addresses of the roster, over a verified connection.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection};

use crate::coordinator;
use crate::merging::merged;
use testkit::server::Reply;
use testkit::workplace::RosterText;
use testkit::{Fault, GitHub, Kubernetes, Pull, Repository, Route, TOKEN, Workplace};

const MERGE: [&str; 5] = ["reconcile", "--only", "merge", "-o", "json"];

fn one_eligible() -> GitHub {
    GitHub::start(Repository::with([Pull::eligible(1)]))
}

#[test]
fn a_redirect_to_another_host_is_followed_by_nothing_that_carries_the_token() {
    for status in [301, 302, 303, 307, 308] {
        for route in [Route::GraphQl, Route::Files(1), Route::Merge(1)] {
            let (github, elsewhere) = (one_eligible(), one_eligible());
            let there = Fault::status(status, "Moved")
                .header("location", format!("{}/graphql", elsewhere.url()));
            github.always(route.clone(), there);
            let workplace =
                RosterText::default().merging(&github, "protected_paths = [\"secret/**\"]").write();
            let report = coordinator(&workplace).args(MERGE).run().json();
            assert_eq!(elsewhere.journal().len(), 0, "{status} {route:?}");
            assert_eq!(merged(&report["steps"]["merge"]), json!([]), "{status} {route:?}");
        }
    }
}

#[test]
fn the_next_page_is_counted_and_never_taken_from_a_link_header() {
    let (github, elsewhere) = (one_eligible(), one_eligible());
    let link = format!("<{}/repos/demo/app/pulls/1/files?page=2>; rel=\"next\"", elsewhere.url());
    let page = Reply::json(200, &json!([{ "filename": "src/lib.rs" }])).header("link", link);
    github.script(Route::Files(1), [Fault::reply(page)]);
    let workplace =
        RosterText::default().merging(&github, "protected_paths = [\"secret/**\"]").write();
    let report = coordinator(&workplace).args(MERGE).run().json();
    assert_eq!(merged(&report["steps"]["merge"]), json!([1]), "{report:#}");
    assert_eq!(elsewhere.journal().len(), 0);
    let files =
        github.journal().iter().filter(|entry| format!("{entry:?}").contains("/files")).count();
    assert_eq!(files, 2, "the second page is requested where the first one was");
}

/// Takes one connection, with this certificate and one of these protocols, and ends it when
/// something comes through: what did, and why no more.
fn tls_server(
    certificate: &[u8],
    key: &[u8],
    protocols: &[&str],
) -> (u16, std::thread::JoinHandle<(Vec<u8>, std::io::Error)>) {
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("good versions").with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate], key).expect("the key fits");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client connects");
        let mut connection = ServerConnection::new(config).expect("a connection");
        let mut received = Vec::new();
        let end = loop {
            if let Err(error) = connection.complete_io(&mut stream) {
                break error;
            }
            let mut chunk = [0; 4096];
            match connection.reader().read(&mut chunk) {
                Ok(0) => break std::io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    received.extend_from_slice(&chunk[..count]);
                    break std::io::ErrorKind::ConnectionAborted.into();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => break error,
            }
        };
        (received, end)
    });
    (port, served)
}

/// A roster whose GitHub is behind this port.
fn github_over_tls(port: u16) -> Workplace {
    let merge =
        format!("[repository]\nname = \"demo/app\"\napi_url = \"https://127.0.0.1:{port}\"\n");
    Workplace::new(&format!("{}\n{merge}", RosterText::default().text()))
}

/// The first bytes that a server gets from a run that reads pull requests there, when `variable`
/// names its certificate as trusted.
#[cfg(target_os = "linux")]
fn received_by_a_trusted_server(variable: &str, file: &str, protocols: &[&str]) -> String {
    let trusted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vouched").join(file);
    let (port, served) = tls_server(
        include_bytes!("vouched/certificate.pem"),
        include_bytes!("vouched/key.pem"),
        protocols,
    );
    let workplace = github_over_tls(port);
    let program = coordinator(&workplace).env(variable, trusted.to_str().expect("UTF-8"));
    let finished = program.args(MERGE).run();
    assert_eq!(finished.json()["steps"]["merge"]["outcome"], "failed", "it hangs up");
    let (received, _) = served.join().expect("the server ends");
    String::from_utf8_lossy(&received).into_owned()
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_with_a_trusted_certificate_gets_the_token() {
    for (variable, file) in [("SSL_CERT_FILE", "root.pem"), ("SSL_CERT_DIR", "")] {
        let received = received_by_a_trusted_server(variable, file, &[]);
        assert!(received.contains(TOKEN), "by {variable}: {received}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_with_http_2_gets_requests_over_http_2() {
    let received = received_by_a_trusted_server("SSL_CERT_FILE", "root.pem", &["h2", "http/1.1"]);
    assert!(received.starts_with("PRI * HTTP/2.0"), "{received}");
}

#[test]
fn a_server_with_an_untrusted_certificate_never_gets_the_token() {
    let (port, served) = tls_server(
        include_bytes!("self_signed/certificate.pem"),
        include_bytes!("self_signed/key.pem"),
        &[],
    );
    let finished = coordinator(&github_over_tls(port)).args(MERGE).run();
    let step = finished.json()["steps"]["merge"].clone();
    assert_eq!(step["outcome"], "failed", "{step:#}");
    let error = step["error"].as_str().expect("why");
    assert!(
        error.contains("certificate authority (CA:TRUE)") && error.contains("CA:FALSE"),
        "{error}"
    );
    let (received, end) = served.join().expect("the server ends");
    assert!(received.is_empty(), "{} bytes came through", received.len());
    assert!(
        end.to_string().contains("alert") || end.kind() == std::io::ErrorKind::InvalidData,
        "{end:?}"
    );
}

#[test]
fn production_with_a_refused_certificate_is_an_outage_with_a_remedy() {
    let certificate = include_bytes!("self_signed/certificate.pem");
    let (port, served) = tls_server(certificate, include_bytes!("self_signed/key.pem"), &[]);
    let url = format!("https://127.0.0.1:{port}/healthz");
    let workplace = RosterText::default().watching("production", &url, "").write();
    let report =
        coordinator(&workplace).args(["reconcile", "--only", "health", "-o", "json"]).run().json();
    let endpoint = &report["steps"]["health"]["endpoints"][0];
    assert_eq!(endpoint["verdict"], "potential_outage", "{report:#}");
    let error = endpoint["error"].as_str().expect("why");
    assert!(error.contains("that of a certificate authority (CA:TRUE)"), "{error}");
    let advice = report["advice"].to_string();
    assert!(advice.contains("CA:FALSE") && !advice.contains("revert"), "{advice}");
    let (received, _) = served.join().expect("the server ends");
    assert!(received.is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn without_any_root_certificate_the_remedy_is_this_machine_s() {
    let certificate = include_bytes!("vouched/certificate.pem");
    let (port, served) = tls_server(certificate, include_bytes!("vouched/key.pem"), &[]);
    let url = format!("https://127.0.0.1:{port}/healthz");
    let workplace = RosterText::default().watching("production", &url, "").write();
    let none = workplace.path().join("none.pem");
    let program = coordinator(&workplace).env("SSL_CERT_FILE", none.to_str().expect("UTF-8"));
    let report = program.args(["reconcile", "--only", "health", "-o", "json"]).run().json();
    let error = &report["steps"]["health"]["endpoints"][0]["error"];
    assert_eq!(error, "no connection: this machine has no root certificates");
    assert!(report["advice"].to_string().contains("ca-certificates"), "{report:#}");
    served.join().expect("the server ends");
}

#[test]
fn a_cluster_without_verification_is_refused_before_it_gets_the_token() {
    let cluster = Kubernetes::start();
    let roster = RosterText::kubernetes("").role("builder", 1, "[\"agent\"]");
    let workplace = roster.write();
    let careless = cluster
        .kubeconfig()
        .replace("  cluster:\n", "  cluster:\n    insecure-skip-tls-verify: true\n");
    assert!(careless.contains("insecure"));
    workplace.write("careless.yaml", careless);
    let path = workplace.path().join("careless.yaml");
    let program = coordinator(&workplace).env("KUBECONFIG", path.to_str().expect("UTF-8"));
    let report = program.args(["reconcile", "--only", "spawn", "-o", "json"]).run().json();
    assert!(
        report["steps"]["inventory"]["error"].to_string().contains("insecure-skip-tls-verify"),
        "{report:#}"
    );
    assert_eq!(cluster.calls().len(), 0);
}

#[test]
fn nothing_that_can_be_set_turns_verification_off() {
    let workplace = RosterText::default().write();
    let mut texts = vec![coordinator(&workplace).args(["schema"]).run().stdout];
    for arguments in [["help", "--all"], ["plugin-test", "--help"]] {
        texts.push(coordinator(&workplace).args(arguments).run().stdout);
    }
    assert!(texts.iter().all(|text| text.len() > 100), "each command explains itself");
    for text in texts {
        let text = text.to_lowercase();
        for word in [
            "insecure",
            "skip-tls",
            "skip_tls",
            "no-verify",
            "no_verify",
            "verify_tls",
            "verify-tls",
            "accept_invalid",
        ] {
            assert!(!text.contains(word), "{word} in\n{text}");
        }
    }
}

/// A run of this workplace by an ordinary user: what root starts belongs to root either way.
#[cfg(target_os = "linux")]
fn unprivileged(workplace: &Workplace) -> (Command, u32) {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_532;

    let home = workplace.path();
    let user = fs::metadata(home).expect("it is there").uid();
    let binary = Path::new(env!("CARGO_BIN_EXE_coordinator"));
    if user != 0 {
        return (Command::new(binary), user);
    }
    let given =
        Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(home).status();
    assert!(given.expect("chown starts").success());
    // The build's folder may be closed to others.
    let copy = home.join("coordinator");
    fs::hard_link(binary, &copy)
        .or_else(|_| fs::copy(binary, &copy).map(drop))
        .expect("a copy can be made");
    let mut command = Command::new(copy);
    command.uid(NOBODY).gid(NOBODY);
    (command, NOBODY)
}

/// The user who may read the process's environment and trace it: root, for a sealed process.
#[cfg(target_os = "linux")]
fn reader(process: u32) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{process}/environ")).expect("the process runs").uid()
}

#[cfg(target_os = "linux")]
#[test]
fn no_agent_can_read_the_token_from_the_run_that_started_it() {
    let github = one_eligible();
    github.always(Route::Any, Fault::never());
    let roster =
        RosterText::default().merging(&github, "").role("builder", 1, "[\"sleep\", \"60\"]");
    let workplace = roster.write();
    let (mut command, user) = unprivileged(&workplace);
    let home = workplace.path();
    command
        .env_clear()
        .current_dir(home)
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"));
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("GITHUB_TOKEN", TOKEN);
    let mut run = command
        .arg("reconcile")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let is_agent = |process: &u32| {
        fs::read(format!("/proc/{process}/cmdline"))
            .is_ok_and(|words| words.starts_with(b"sleep\0"))
    };
    let end = Instant::now() + Duration::from_secs(20);
    let agent = loop {
        if let Some(agent) = workplace.processes().into_iter().find(is_agent) {
            break agent;
        }
        assert!(Instant::now() < end, "no agent runs");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(reader(agent), user, "an agent is a process like any other");
    assert_ne!(reader(run.id()), user, "the run is sealed");
    run.kill().expect("it still waits for GitHub");
    run.wait().expect("it ends");
}

/// Whether an aborted process leaves a core where its shell allows one. It is aborted as soon as
/// `is_ready`.
#[cfg(target_os = "linux")]
fn leaves_a_core(
    program: &Path,
    workplace: &Workplace,
    argument: &str,
    is_ready: impl Fn(u32) -> bool,
) -> bool {
    use std::os::unix::process::ExitStatusExt;
    let home = workplace.path();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(program).arg(argument);
    command
        .env_clear()
        .current_dir(home)
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("GITHUB_TOKEN", TOKEN).env("COORDINATOR_CONFIG", workplace.roster());
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let end = Instant::now() + Duration::from_secs(20);
    while !is_ready(run.id()) {
        assert!(Instant::now() < end, "it never gets there");
        std::thread::sleep(Duration::from_millis(5));
    }
    let aborted = Command::new("kill").arg("-ABRT").arg(run.id().to_string()).status();
    assert!(aborted.expect("kill starts").success());
    let status = run.wait().expect("it ends");
    assert_eq!(status.signal(), Some(6), "{status}");
    status.core_dumped()
}

#[cfg(target_os = "linux")]
#[test]
#[expect(
    clippy::print_stderr,
    reason = "where no process leaves a core, the test proves nothing, and prints so"
)]
fn a_run_that_is_aborted_leaves_no_core_with_the_token_in_it() {
    let github = one_eligible();
    github.always(Route::Any, Fault::never());
    let workplace = RosterText::default().merging(&github, "").write();
    let binary = Path::new(env!("CARGO_BIN_EXE_coordinator"));
    let has_sent = |_| !github.journal().is_empty();
    assert!(!leaves_a_core(binary, &workplace, "reconcile", has_sent));
    let sleeps =
        |process| fs::read(format!("/proc/{process}/comm")).is_ok_and(|name| name == b"sleep\n");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    // A core that went elsewhere would outlive the test.
    let goes_elsewhere = pattern.starts_with(['/', '|']);
    if goes_elsewhere || !leaves_a_core(Path::new("/bin/sleep"), &workplace, "60", sleeps) {
        eprintln!("this machine leaves no core beside a process: {pattern}");
    }
}
