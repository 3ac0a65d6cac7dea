package plane

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
)

// pollInterval is how often a condition is looked at again.
const pollInterval = 20 * time.Millisecond

// waitUntil looks at condition until it holds or ctx ends; the error then
// says what was waited for, why it did not hold and why we stopped.
func waitUntil(ctx context.Context, what string, condition func(context.Context) error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last answer: %s)", what, context.Cause(ctx), err)
		}
	}
}

// waitForServer waits until the API server calls itself ready.
func waitForServer(ctx context.Context, client kubernetes.Interface) error {
	return waitUntil(ctx, "the API server", func(ctx context.Context) error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// waitForControllers waits until namespaces are being furnished and garbage is
// being collected: it makes a ConfigMap whose owner does not exist and waits
// until the collector has deleted it.
func waitForControllers(ctx context.Context, client kubernetes.Interface) error {
	core := client.CoreV1()
	if err := waitUntil(ctx, "the namespace default to be furnished", func(ctx context.Context) error {
		if _, err := core.ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := core.ConfigMaps(metav1.NamespaceDefault).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	}); err != nil {
		return err
	}

	maps := core.ConfigMaps(metav1.NamespaceSystem)
	orphan := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "tenure-collector-probe-",
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "ConfigMap", Name: "tenure-collector-probe-owner", UID: uuid.NewUUID(),
		}},
	}}
	var name string
	if err := waitUntil(ctx, "the namespace kube-system", func(ctx context.Context) error {
		created, err := maps.Create(ctx, orphan, metav1.CreateOptions{})
		if err == nil {
			name = created.Name
		}
		return err
	}); err != nil {
		return err
	}
	return waitUntil(ctx, "the garbage collector to work", func(ctx context.Context) error {
		_, err := maps.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return fmt.Errorf("ConfigMap kube-system/%s is still there", name)
		case apierrors.IsNotFound(err):
			return nil
		default:
			return err
		}
	})
}
