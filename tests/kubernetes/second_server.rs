//! A second API server of the same control plane, which a test may stop, start again, and give
//! flags of its own.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::account::{self, edited};
use crate::cluster::{Cluster, until};

/// Dropping it ends it.
pub(crate) struct SecondServer {
    binary: PathBuf,
    arguments: Vec<String>,
    home: tempfile::TempDir,
    port: u16,
    running: Option<Child>,
}

impl SecondServer {
    /// With the flags of the control plane's own server, and these.
    pub(crate) fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let (binary, mut arguments) = own_server();
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let home = tempfile::tempdir().expect("a directory");
        let replaced = ["--secure-port=", "--audit-log-path="];
        arguments.retain(|argument| !replaced.iter().any(|flag| argument.starts_with(flag)));
        arguments.push(format!("--secure-port={port}"));
        arguments.push(format!("--audit-log-path={}", home.path().join("audit.log").display()));
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut server = Self { binary, arguments, home, port, running: None };
        server.restart();
        until("the second API server is ready", || server.is_ready(cluster).then_some(()));
        server
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().expect("it runs");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts it where it was. It is not ready yet.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let log = File::create(self.home.path().join("log")).expect("a file");
        let child = Command::new(&self.binary)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the control plane's binary starts");
        self.running = Some(child);
    }

    /// The kubeconfig of a service account, for this server.
    pub(crate) fn kubeconfig(&self, cluster: &Cluster, account: &str) -> String {
        let mut config: Value = serde_json::from_str(&account::kubeconfig(cluster, account))
            .expect("it is written as JSON");
        config["clusters"][0]["cluster"]["server"] = json!(self.url());
        config.to_string()
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn is_ready(&self, cluster: &Cluster) -> bool {
        if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            return false;
        }
        let url = json!(self.url());
        let config = edited(|config| config["clusters"][0]["cluster"]["server"] = url);
        let config = kube::config::Kubeconfig::from_yaml(&config).expect("a kubeconfig");
        cluster.wait(async {
            let options = kube::config::KubeConfigOptions::default();
            let config =
                kube::Config::from_custom_kubeconfig(config, &options).await.expect("it is good");
            let client = kube::Client::try_from(config).expect("a client");
            let ready = http::Request::get("/readyz").body(Vec::new()).expect("a request");
            client.request_text(ready).await.is_ok()
        })
    }
}

impl Drop for SecondServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The binary and the arguments of the server that the kubeconfig names.
fn own_server() -> (PathBuf, Vec<String>) {
    let config: Value = serde_json::from_str(&edited(|_| {})).expect("it is written as JSON");
    let url = config["clusters"][0]["cluster"]["server"].as_str().expect("a server").to_owned();
    let port = url.rsplit_once(':').expect("a port").1.trim_end_matches('/');
    let flag = format!("--secure-port={port}");
    let processes = std::fs::read_dir("/proc").expect("the kernel tells of processes");
    for process in processes.flatten() {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split_terminator('\0').map(str::to_owned);
        let binary = words.next().unwrap_or_default();
        let arguments: Vec<String> = words.collect();
        let is_server = arguments.first().is_some_and(|first| first == "apiserver");
        if is_server && arguments.contains(&flag) {
            return (PathBuf::from(binary), arguments);
        }
    }
    panic!(
        "no process of this machine is the API server at port {port}: \
         the cluster must be of tests/cluster"
    )
}
