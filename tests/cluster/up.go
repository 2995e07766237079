package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// startLimit is how long a control plane may take until it is ready; a busy machine needs 20
// seconds.
const startLimit = 3 * time.Minute

// cluster is a running control plane. Its children end with it: the kernel kills them when this
// process is gone.
type cluster struct {
	layout
	binary string
	alive  map[string]*exec.Cmd
	ended  chan string
}

// start brings all components up and waits until a pod could run.
func (c *cluster) start(signals <-chan os.Signal) error {
	began := time.Now()
	if err := c.spawn("etcd", c.etcdArguments()); err != nil {
		return err
	}
	if err := c.spawn("apiserver", c.apiserverArguments()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	if err := c.await(ctx, signals, c.answers); err != nil {
		return err
	}
	for _, component := range []struct {
		name      string
		arguments []string
	}{
		{"controller-manager", c.controllerArguments()},
		{"scheduler", c.schedulerArguments()},
		{"kwok", c.kwokArguments()},
	} {
		if err := c.spawn(component.name, component.arguments); err != nil {
			return err
		}
	}
	if err := c.await(ctx, signals, c.populated); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "cluster: %s, ready after %.1f s\n", versions(), time.Since(began).Seconds())
	return nil
}

// await runs a check until it returns, unless a component ends or a signal comes before.
func (c *cluster) await(ctx context.Context, signals <-chan os.Signal, check func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- check(ctx) }()
	select {
	case err := <-done:
		return err
	case name := <-c.ended:
		return c.unexpected(name)
	case s := <-signals:
		return fmt.Errorf("stopped by %v before the control plane was ready", s)
	}
}

// spawn starts one component, which logs to a file of its name.
func (c *cluster) spawn(name string, arguments []string) error {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	child := exec.Command(c.binary, append([]string{name}, arguments...)...)
	child.Dir, child.Stdout, child.Stderr = c.dir, log, log
	// A group of its own: Ctrl-C reaches the command alone, so that it can still talk to the API
	// server.
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.alive[name] = child
	go func() {
		_ = child.Wait()
		c.ended <- name
	}()
	return nil
}

// unexpected is the error for a component that has exited, with the last lines of its log.
func (c *cluster) unexpected(name string) error {
	text, _ := os.ReadFile(c.path(name + ".log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	state := c.alive[name].ProcessState
	delete(c.alive, name)
	return fmt.Errorf("%s ended by itself (%v); the end of its log:\n%s", name, state, strings.Join(lines, "\n"))
}

// end kills what still runs: nothing in a control plane for tests is worth a graceful stop.
func (c *cluster) end() {
	for _, child := range c.alive {
		_ = child.Process.Kill()
	}
	for len(c.alive) > 0 {
		delete(c.alive, <-c.ended)
	}
}
