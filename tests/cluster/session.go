package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// front runs `cluster up` or `cluster run` and returns the exit code.
func front(name string, arguments []string) int {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	dir := flags.String("dir", "", "directory for all files, kept (default: a temporary one, removed)")
	watchStdin := flags.Bool("watch-stdin", false, "end when stdin ends")
	_ = flags.Parse(arguments)
	command := flags.Args()
	if (name == "run") == (len(command) == 0) {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if *watchStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			signals <- syscall.SIGTERM
		}()
	}
	code, err := session(*dir, command, signals)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
	}
	return code
}

// session is one control plane from start to end, with the command in it, if there is one.
func session(dir string, command []string, signals <-chan os.Signal) (int, error) {
	dir, keep, err := prepare(dir)
	if err != nil {
		return 1, err
	}
	if !keep {
		defer os.RemoveAll(dir)
	}
	l, err := newLayout(dir)
	if err != nil {
		return 1, fmt.Errorf("write the files of the control plane to %s: %w", dir, err)
	}
	binary, err := os.Executable()
	if err != nil {
		return 1, err
	}
	c := cluster{layout: l, binary: binary, alive: map[string]*exec.Cmd{}, ended: make(chan string, 8)}
	defer c.end()
	if err := c.start(signals); err != nil {
		return 1, err
	}
	if len(command) == 0 {
		return c.wait(signals)
	}
	return c.run(command, signals)
}

// prepare makes an absolute, empty directory; keep is false for a temporary one.
func prepare(dir string) (path string, keep bool, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "cluster-")
		return path, false, err
	}
	if path, err = filepath.Abs(dir); err != nil {
		return path, true, err
	}
	if err = os.MkdirAll(path, 0o700); err != nil {
		return path, true, err
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: name a new directory, a control plane does not resume", path)
	}
	return path, true, err
}

// wait keeps the control plane until a signal comes.
func (c *cluster) wait(signals <-chan os.Signal) (int, error) {
	text, err := os.ReadFile(c.path("environment"))
	if err != nil {
		return 1, err
	}
	fmt.Printf("%sREADY\n", text)
	select {
	case <-signals:
		return 0, nil
	case name := <-c.ended:
		return 1, c.unexpected(name)
	}
}

// run runs the command with the environment of the control plane; its exit code is the answer.
func (c *cluster) run(command []string, signals <-chan os.Signal) (int, error) {
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), c.environment()...)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := child.Start(); err != nil {
		return 127, fmt.Errorf("start the command: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case <-done:
			return exitCode(child.ProcessState), nil
		case s := <-signals:
			_ = child.Process.Signal(s)
		case name := <-c.ended:
			_ = child.Process.Signal(syscall.SIGTERM)
			return 1, c.unexpected(name)
		}
	}
}

// exitCode follows the shell: 128 and the number of the signal that ended a process.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
