package main

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// nodes is how many nodes there are; each takes ten thousand pods.
const nodes = 3

func (c *cluster) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.path("kubeconfig"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// answers waits until the API server reports that it is ready.
func (c *cluster) answers(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return poll(ctx, "the API server to answer /readyz", func() bool {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	})
}

// populated registers the nodes and waits until pods can be scheduled to all of them and the
// default account exists.
func (c *cluster) populated(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	for i := range nodes {
		_, err := client.CoreV1().Nodes().Create(ctx, node(fmt.Sprintf("node-%d", i)), meta.CreateOptions{})
		if err != nil && !errors.IsAlreadyExists(err) {
			return fmt.Errorf("register a node: %w", err)
		}
	}
	return poll(ctx, "three nodes without taints and the default service account", func() bool {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", meta.GetOptions{})
		list, listErr := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
		return err == nil && listErr == nil && usable(list.Items) == nodes
	})
}

func node(name string) *core.Node {
	room := core.ResourceList{
		core.ResourceCPU: resource.MustParse("10k"), core.ResourceMemory: resource.MustParse("100Ti"),
		core.ResourceEphemeralStorage: resource.MustParse("100Ti"), core.ResourcePods: resource.MustParse("10k"),
	}
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		}},
		Status: core.NodeStatus{Capacity: room, Allocatable: room},
	}
}

// usable counts nodes that are ready and take pods.
func usable(list []core.Node) int {
	count := 0
	for _, node := range list {
		for _, condition := range node.Status.Conditions {
			if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue && len(node.Spec.Taints) == 0 {
				count++
			}
		}
	}
	return count
}

// poll calls yes ten times a second until it returns true.
func poll(ctx context.Context, what string, yes func() bool) error {
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		return yes(), nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}
