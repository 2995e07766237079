//! The resources of one run of a program, without those of the sessions that it leaves behind.

use std::env;
use std::path::Path;
use std::process::{self, Command};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use testkit::{Kubernetes, Program, Workplace};

/// First argument of the process that measures.
pub(crate) const MEASURE: &str = "--measure";

/// The resources that a run used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// When it was started.
    pub(crate) started_at: SystemTime,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// In user and kernel.
    pub(crate) cpu: Duration,
    /// Most memory that was resident at once.
    pub(crate) peak_bytes: u64,
}

/// Runs the coordinator in a workplace, and fails unless it exits with 0; what it printed on stdout
/// comes first.
pub(crate) fn run(
    workplace: &Workplace,
    cluster: Option<&Kubernetes>,
    arguments: &str,
) -> anyhow::Result<(String, Usage)> {
    let measurer = env::current_exe().context("find this program")?;
    let measured = super::program()?;
    let measured = measured.to_str().context("the path of the program is UTF-8")?;
    let program = Program::new(&measurer, workplace).args([MEASURE, measured]);
    let program = match cluster {
        Some(cluster) => program.kubeconfig(cluster),
        None => program,
    };
    let run = program.args(arguments.split_whitespace()).run();
    ensure!(run.code == Some(0), "exit code {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    let (stdout, usage) = run.stdout.trim_end().rsplit_once('\n').context("read the usage")?;
    Ok((stdout.to_owned(), serde_json::from_str(usage).context("parse the usage")?))
}

/// Runs the command as the only child of this process, and adds its usage to its stdout as a line
/// of JSON.
///
/// A process of its own, because a kernel counts the usage of children as a sum, and begins a
/// child's peak of memory with that of its parent: this one is fresh and small.
pub(crate) fn measure(command: &[String]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("nothing to measure")?;
    let (started_at, started) = (SystemTime::now(), Instant::now());
    let status =
        Command::new(Path::new(program)).args(arguments).status().context("run the program")?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .context("read the usage of resources from the kernel")?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()));
    let cpu = Duration::from_micros(micros[0]? + micros[1]?);
    let peak_bytes = u64::try_from(usage.max_rss())? * 1024;
    println!("{}", serde_json::to_string(&Usage { started_at, wall, cpu, peak_bytes })?);
    process::exit(status.code().unwrap_or(1));
}
