//! Work items on a cluster: a source whose store the test sets, and whole cycles of the shipped
//! code.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, SystemTime};

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::steps::StepName;
use coordinator_core::fleet::{Inventory, Listing, Want};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_core::report::{Report, Spawned};
use coordinator_core::source::Source;
use coordinator_platform_kubernetes::{Kubernetes, Settings};
use coordinator_roster::{PlatformKind, Roster};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder};

use super::Workplace;
use super::tasks::{TaskState, Tasks};

/// A fleet with one source of tasks, whose recipe is the roster's first role.
pub struct ItemFleet {
    pub tasks: Tasks,
    pub dry_run: Cell<bool>,
    /// Keeps the roster's folder alive.
    _workplace: Option<Workplace>,
    roster: Roster,
    kubeconfig: String,
    cycles: Cell<u32>,
}

impl ItemFleet {
    /// A fleet by this roster, on the cluster of this kubeconfig.
    pub fn new(workplace: Workplace, kubeconfig: String) -> Self {
        let fleet = Self::at(&workplace.roster(), kubeconfig);
        Self { _workplace: Some(workplace), ..fleet }
    }

    /// A fleet by the roster in this file.
    pub fn at(roster: &Path, kubeconfig: String) -> Self {
        let variable = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
        let roster = coordinator_roster::load(roster, &variable)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let role = &roster.roles[0];
        let tasks = Tasks::new("queue", &role.key, &role.spec);
        let (dry_run, cycles) = (Cell::new(false), Cell::new(0));
        Self { tasks, dry_run, _workplace: None, roster, kubeconfig, cycles }
    }

    /// A platform as each run of the program makes it.
    pub async fn platform(&self) -> Kubernetes {
        let PlatformKind::Kubernetes(kubernetes) = &self.roster.platform.kind else {
            panic!("the roster is on a cluster")
        };
        let settings = Settings {
            fleet: self.roster.fleet.clone(),
            repository: None,
            kubernetes: (**kubernetes).clone(),
            has_items: true,
            deadline: self.roster.deadline,
        };
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = client(config.expect("a good kubeconfig"));
        Kubernetes::new(settings, client, "agents", Instant::now() + Duration::from_secs(50))
    }

    /// One cycle of inventory and spawn.
    pub async fn cycle(&self) -> Report {
        let number = self.cycles.get() + 1;
        self.cycles.set(number);
        let cycle = Cycle {
            roster: &self.roster,
            id: CycleId(format!("c{number}")),
            steps: vec![StepName::Inventory, StepName::Spawn],
            sources: vec![self.tasks.clone()],
            dry_run: self.dry_run.get(),
            platform: Ok(self.platform().await),
            github: Err(anyhow::anyhow!("no step needs it")),
            probe: Err(anyhow::anyhow!("no step needs it")),
            clock: SystemTime::now,
            progress: Progress::default(),
        };
        cycle::run(&cycle, &Stop::default()).await
    }

    pub async fn list(&self) -> Listing {
        self.platform().await.list().await.expect("it can be listed")
    }

    /// The wants of the source now, and the platform whose list they come from.
    pub async fn planned(&self) -> (Kubernetes, Vec<Want>) {
        let platform = self.platform().await;
        let sessions = Inventory::Known(platform.list().await.expect("it can be listed"));
        let state = self.tasks.observe(SystemTime::now()).await.expect("it can be read");
        (platform, self.tasks.plan(&state, &sessions, SystemTime::now()).wants)
    }

    pub async fn start(&self, platform: &Kubernetes, want: &Want, cycle: &str) -> Start {
        let cycle = CycleId(cycle.to_owned());
        platform.start(want, &cycle, SystemTime::now()).await.expect("it answers")
    }

    pub fn open(&self, id: &str) {
        self.tasks.store.borrow_mut().open(id);
    }

    pub fn state(&self, id: &str) -> Option<TaskState> {
        self.tasks.store.borrow().state(id)
    }

    /// The name of a task's Job, and of its register.
    pub fn session(&self, id: &str) -> String {
        self.tasks.slot(id).session_name(&self.roster.fleet)
    }
}

/// A client that sends nothing twice, as the program's own: the SDK's repeats what a server answers
/// with 504.
fn client(mut config: kube::Config) -> kube::Client {
    if config.cluster_url.scheme_str() == Some("http") {
        // There is nothing to verify: without this, all the machine's root certificates would be
        // read.
        config.root_cert.get_or_insert_default();
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let tls = config.rustls_client_config().expect("good certificates");
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = tls.enable_all_versions().wrap_connector(tcp);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().expect("good credentials"))
        .map_err(BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    kube::Client::new(service, config.default_namespace)
}

/// Item, attempt and generation of each session that a cycle started.
pub fn started(report: &Report) -> Vec<(String, u32, u64)> {
    let of = |spawned: &Spawned| {
        let item = spawned.target.item.as_ref().expect("a work item");
        (item.id.clone(), item.counts.attempt, spawned.generation)
    };
    report.spawn.body.spawned.iter().map(of).collect()
}

/// The reasons for which items were held.
pub fn held(report: &Report) -> Vec<&'static str> {
    report.spawn.body.held.iter().map(|(_, hold)| hold.reason.word()).collect()
}
