//! How the API server is reached.

use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster};

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn a_server_that_speaks_http_2_is_asked_in_it() {
    let cluster = Cluster::new("connection");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 12));
    let finished = fleet.run(&["reconcile", "-vv"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let answers: Vec<&str> =
        finished.stderr.lines().filter(|line| line.contains("the API server answered")).collect();
    assert_eq!(answers.len(), 14, "two lists, and twelve creations: {}", finished.stderr);
    assert!(answers.iter().all(|answer| answer.contains("over=HTTP/2.0")), "{answers:#?}");
}
