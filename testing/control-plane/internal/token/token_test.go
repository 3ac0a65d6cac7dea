package token

import (
	"context"
	"io"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestWrongArgumentsAreToldApart(t *testing.T) {
	whole := []string{"--kubeconfig", "a", "--service-account", "sa", "--out", "o"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no kubeconfig":      {[]string{"--service-account", "sa", "--out", "o"}, "--kubeconfig is missing"},
		"no service account": {[]string{"--kubeconfig", "a", "--out", "o"}, "--service-account is missing"},
		"no out":             {[]string{"--kubeconfig", "a", "--service-account", "sa"}, "--out is missing"},
		"empty namespace":    {append([]string{"--namespace", ""}, whole...), "--namespace is empty"},
		"short-lived":        {append([]string{"--expiration", "9m"}, whole...), "too short"},
		"a stray word":       {append(whole, "word"), `unexpected argument "word"`},
		"an unknown switch":  {append([]string{"--nonsense"}, whole...), "nonsense"},
	} {
		if _, err := parse(c.args, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := parse(whole, io.Discard); err != nil {
		t.Errorf("a whole command line: %v", err)
	}
}

func TestATokenForAPodIsBoundToItsUID(t *testing.T) {
	client := fake.NewClientset(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "the-uid"}})
	var asked *authenticationv1.TokenRequest
	client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		asked = action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest)
		granted := asked.DeepCopy()
		granted.Status.Token = "granted"
		return true, granted, nil
	})
	req, err := parse([]string{"--kubeconfig", "a", "--namespace", "ns", "--service-account", "sa", "--pod", "p", "--out", "o"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	value, err := req.requestToken(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	bound := asked.Spec.BoundObjectRef
	if value != "granted" || bound == nil || bound.UID != "the-uid" || bound.Kind != "Pod" || *asked.Spec.ExpirationSeconds != 3600 {
		t.Errorf("token %q, asked for %+v", value, asked.Spec)
	}
}

func TestAMissingPodIsAnError(t *testing.T) {
	req := &request{namespace: "ns", serviceAccount: "sa", pod: "absent"}
	if _, err := req.requestToken(context.Background(), fake.NewClientset()); err == nil || !strings.Contains(err.Error(), "ns/absent") {
		t.Errorf("error %v", err)
	}
}
