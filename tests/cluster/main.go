// Command cluster is a whole Kubernetes control plane in one binary: etcd, API server, controllers,
// scheduler, and KWOK in place of the nodes. `cluster run -- COMMAND` runs a command against a
// fresh one and leaves nothing behind.
package main

import (
	"fmt"
	"os"
	"runtime"
)

const usage = `usage:
  cluster run [--dir DIR] -- COMMAND...   run COMMAND with KUBECONFIG set to a fresh control plane, then end it
  cluster up [--dir DIR] [--watch-stdin]  start a control plane and keep it until a signal (or the end of stdin)
  cluster version                         print the versions
`

func init() {
	// The kernel ends the children when the thread that started them ends: keep main on the first
	// thread.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	switch name {
	case "up", "run":
		os.Exit(front(name, os.Args[2:]))
	case "version":
		fmt.Println(versions())
	default:
		os.Args = os.Args[1:]
		if !runComponent(name) {
			fmt.Fprintf(os.Stderr, "cluster: no command %q\n%s", name, usage)
			os.Exit(2)
		}
	}
}
