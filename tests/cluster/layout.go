package main

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

//go:embed audit.yaml
var auditPolicy string

//go:embed kwok.yaml
var kwokConfig string

// users are the clients that exist from the start: name and groups of the token file, by the file
// that holds their kubeconfig.
var users = map[string]string{
	"kubeconfig":                    `admin,admin,"system:masters"`,
	"controller-manager.kubeconfig": `system:kube-controller-manager,controller-manager`,
	"scheduler.kubeconfig":          `system:kube-scheduler,scheduler`,
	"kwok.kubeconfig":               `kwok,kwok,"system:masters"`,
}

// layout is the directory of one control plane, and its ports on loopback.
type layout struct {
	dir                          string
	api, etcd, etcdPeer, kubelet int
}

func (l layout) path(name string) string { return filepath.Join(l.dir, name) }

// environment is how a test finds the control plane.
func (l layout) environment() []string {
	return []string{
		"KUBECONFIG=" + l.path("kubeconfig"),
		"COORDINATOR_TEST_AUDIT=" + l.path("audit.log"),
		"COORDINATOR_TEST_POD_LOG=" + l.path("pods/pod.log"),
		fmt.Sprintf("COORDINATOR_TEST_ETCD=http://127.0.0.1:%d", l.etcd),
	}
}

// newLayout takes free ports and writes all files that the components read.
func newLayout(dir string) (layout, error) {
	ports, err := freePorts(4)
	if err != nil {
		return layout{}, err
	}
	l := layout{dir: dir, api: ports[0], etcd: ports[1], etcdPeer: ports[2], kubelet: ports[3]}
	if err := os.MkdirAll(l.path("pods"), 0o700); err != nil {
		return l, err
	}
	certificates, err := newCertificates()
	if err != nil {
		return l, err
	}
	files := map[string]string{
		"ca.crt":       certificates.authority,
		"server.crt":   certificates.server,
		"server.key":   certificates.serverKey,
		"accounts.key": certificates.accountsKey,
		"audit.yaml":   auditPolicy,
		"kwok.yaml":    strings.ReplaceAll(kwokConfig, "POD_LOG", l.path("pods/pod.log")),
		"pods/pod.log": "2026-01-01T00:00:00.000000000Z stdout F the first line of a session\n",
		"environment":  "export " + strings.Join(l.environment(), "\nexport ") + "\n",
		"tokens.csv":   "",
	}
	for name, user := range users {
		token, err := secret()
		if err != nil {
			return l, err
		}
		files["tokens.csv"] += token + "," + user + "\n"
		files[name] = l.kubeconfig(certificates.authority, token)
	}
	for name, text := range files {
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			return l, err
		}
	}
	return l, nil
}

// freePorts returns unused ports. It binds all of them before it releases any, so that they differ.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port on loopback: %w", err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
