package main

import (
	"fmt"
	"strings"
)

// Of the controllers, those that the tests need.
var controllerNames = strings.Join([]string{
	"job-controller", "cronjob-controller", "ttl-after-finished-controller",
	"garbage-collector-controller", "pod-garbage-collector-controller", "namespace-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller", "resourcequota-controller", "validatingadmissionpolicy-status-controller",
	"node-lifecycle-controller", "persistentvolume-binder-controller",
}, ",")

func (l layout) etcdArguments() []string {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", l.etcd), fmt.Sprintf("http://127.0.0.1:%d", l.etcdPeer)
	return []string{
		"--name=test", "--data-dir=" + l.path("etcd"), "--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=test=" + peer,
		// Nothing outlives the run, so no write needs to survive a crash.
		"--unsafe-no-fsync",
	}
}

func (l layout) apiserverArguments() []string {
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", l.etcd),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", l.api), "--advertise-address=127.0.0.1",
		"--tls-cert-file=" + l.path("server.crt"), "--tls-private-key-file=" + l.path("server.key"),
		"--token-auth-file=" + l.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-key-file=" + l.path("accounts.key"),
		"--service-account-signing-key-file=" + l.path("accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
		"--kubelet-certificate-authority=" + l.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		// One line per request, written before the answer goes out.
		"--audit-policy-file=" + l.path("audit.yaml"), "--audit-log-path=" + l.path("audit.log"),
		"--audit-log-mode=blocking", "--audit-log-maxsize=10000",
	}
}

func (l layout) controllerArguments() []string {
	return []string{
		"--kubeconfig=" + l.path("controller-manager.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		"--controllers=" + controllerNames, "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.path("accounts.key"), "--root-ca-file=" + l.path("ca.crt"),
		// A thousand Jobs at once, on one machine.
		"--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-job-syncs=32", "--concurrent-gc-syncs=32",
		"--concurrent-ttl-after-finished-syncs=16", "--resource-quota-sync-period=2s",
		// A starved machine must not look like nodes that are gone.
		"--node-monitor-grace-period=5m",
	}
}

func (l layout) schedulerArguments() []string {
	return []string{
		"--kubeconfig=" + l.path("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000",
	}
}

func (l layout) kwokArguments() []string {
	return []string{
		"--kubeconfig=" + l.path("kwok.kubeconfig"), "--config=" + l.path("kwok.yaml"), "--manage-all-nodes",
		"--node-ip=127.0.0.1", fmt.Sprintf("--node-port=%d", l.kubelet),
		fmt.Sprintf("--server-address=127.0.0.1:%d", l.kubelet),
		"--tls-cert-file=" + l.path("server.crt"), "--tls-private-key-file=" + l.path("server.key"),
		"--node-lease-duration-seconds=40",
	}
}
