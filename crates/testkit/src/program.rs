//! The real binary, in an environment of its own, killed when the test ends.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::BEARER;
use super::TOKEN;
#[cfg(feature = "kubernetes")]
use super::kubernetes::Kubernetes;
use super::workplace::Workplace;

/// No run of a test takes longer; a run that does hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// The binary, about to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
}

impl Program {
    /// The binary in this workplace, with the world's token and nothing else of this process's
    /// environment.
    pub fn new(binary: &Path, workplace: &Workplace) -> Self {
        let mut command = Command::new(binary);
        let home = workplace.path();
        command
            .env_clear()
            .current_dir(home)
            .env("HOME", home)
            .env("TZ", "UTC")
            .env("XDG_STATE_HOME", home.join("state"));
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("GITHUB_TOKEN", TOKEN);
        command.env("COORDINATOR_CONFIG", workplace.roster());
        Self { command }
    }

    /// With these arguments.
    #[must_use]
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// With this variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without this variable.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// With a kubeconfig for this cluster.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn kubeconfig(self, cluster: &Kubernetes) -> Self {
        let home = self.command.get_current_dir().expect("it runs in a workplace");
        let file = home.join("kubeconfig.yaml");
        std::fs::write(&file, cluster.kubeconfig()).expect("a file can be written");
        self.env("KUBECONFIG", file.to_str().expect("temporary folders are UTF-8"))
    }

    /// For a test that gives it other streams.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Starts it.
    pub fn spawn(mut self) -> Running {
        let command =
            self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        Running { child, output: Some((stdout, stderr)) }
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }
}

/// The bytes of a pipe, which a thread reads to its end.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

fn collect(mut pipe: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&bytes);
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 8192];
        loop {
            let read = pipe.read(&mut chunk).expect("a pipe can be read");
            if read == 0 {
                break;
            }
            shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..read]);
        }
    });
    Collected { bytes, reader }
}

impl Collected {
    fn so_far(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn all(self) -> String {
        self.reader.join().expect("the reader ends");
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(std::mem::take(&mut *bytes)).expect("all output is UTF-8")
    }
}

/// The binary, running; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Option<(Collected, Collected)>,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout so far.
    pub fn printed(&self) -> String {
        self.output.as_ref().map(|(stdout, _)| stdout.so_far()).unwrap_or_default()
    }

    /// Sends a signal, as `kill -<name>` does.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.expect("kill starts").success(), "the signal could not be sent");
    }

    /// Waits for its end, and sees that no output holds a token.
    pub fn wait(mut self) -> Finished {
        let end = Instant::now() + LONGEST;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < end, "the binary still runs after {LONGEST:?}");
            std::thread::sleep(Duration::from_millis(2));
        };
        let (stdout, stderr) = self.output.take().expect("the output is read once");
        let finished = Finished { code: status.code(), stdout: stdout.all(), stderr: stderr.all() };
        finished.hides(TOKEN);
        finished.hides(BEARER);
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The output and exit code of a run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// `None` after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The report of `-o json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|problem| {
            panic!(
                "stdout is not JSON: {problem}\ncode {:?}\n{}\n{}",
                self.code, self.stdout, self.stderr
            )
        })
    }

    /// Fails when any output holds this.
    pub fn hides(&self, secret: &str) {
        assert!(!self.stdout.contains(secret), "stdout holds a secret:\n{}", self.stdout);
        assert!(!self.stderr.contains(secret), "stderr holds a secret:\n{}", self.stderr);
    }
}
