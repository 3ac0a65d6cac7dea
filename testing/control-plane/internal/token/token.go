// Package token makes kubeconfigs for service accounts by the TokenRequest API.
package token

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tenure-rs/tenure/testing/control-plane/internal/kubeconfig"
)

// minExpiration is the shortest life the API server gives a token.
const minExpiration = 10 * time.Minute

// timeout bounds the whole command.
const timeout = 30 * time.Second

// request is what the command line asks for.
type request struct {
	adminKubeconfig string
	namespace       string
	serviceAccount  string
	// pod binds the token to that Pod: it ends with the Pod. Empty binds it to
	// the service account alone.
	pod        string
	expiration time.Duration
	out        string
}

// Main is the command `token-kubeconfig`: it returns the exit code, 2 for
// wrong arguments and 1 for a failure.
func Main(args []string, stderr io.Writer) int {
	req, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "token-kubeconfig: %v\n", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := req.run(ctx); err != nil {
		fmt.Fprintf(stderr, "token-kubeconfig: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (*request, error) {
	req := &request{}
	flags := flag.NewFlagSet("token-kubeconfig", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&req.adminKubeconfig, "kubeconfig", "", "the admin's kubeconfig `file` (required)")
	flags.StringVar(&req.namespace, "namespace", "default", "the service account's `namespace`")
	flags.StringVar(&req.serviceAccount, "service-account", "", "the service account's `name` (required)")
	flags.StringVar(&req.pod, "pod", "", "bind the token to the Pod of this `name`, which must name the service account")
	flags.DurationVar(&req.expiration, "expiration", time.Hour, "how long the token is good for, at least 10m")
	flags.StringVar(&req.out, "out", "", "the kubeconfig `file` to write (required)")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case req.adminKubeconfig == "":
		return nil, errors.New("--kubeconfig is missing: name the admin's kubeconfig file")
	case req.serviceAccount == "":
		return nil, errors.New("--service-account is missing")
	case req.namespace == "":
		return nil, errors.New("--namespace is empty")
	case req.out == "":
		return nil, errors.New("--out is missing: name the file to write")
	case req.expiration < minExpiration:
		return nil, fmt.Errorf("--expiration %s is too short: the API server grants no less than %s", req.expiration, minExpiration)
	}
	return req, nil
}

func (r *request) run(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", r.adminKubeconfig)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.adminKubeconfig, err)
	}
	if err := rest.LoadTLSFiles(config); err != nil {
		return fmt.Errorf("reading the certificates %s names: %w", r.adminKubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client from %s: %w", r.adminKubeconfig, err)
	}
	value, err := r.requestToken(ctx, client)
	if err != nil {
		return err
	}
	return kubeconfig.Write(r.out, kubeconfig.Access{
		User:      "system:serviceaccount:" + r.namespace + ":" + r.serviceAccount,
		Server:    config.Host,
		CA:        config.CAData,
		Token:     value,
		Namespace: r.namespace,
	})
}

func (r *request) requestToken(ctx context.Context, client kubernetes.Interface) (string, error) {
	seconds := int64(r.expiration / time.Second)
	ask := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if r.pod != "" {
		pod, err := client.CoreV1().Pods(r.namespace).Get(ctx, r.pod, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("looking up Pod %s/%s: %w", r.namespace, r.pod, err)
		}
		ask.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID,
		}
	}
	granted, err := client.CoreV1().ServiceAccounts(r.namespace).CreateToken(ctx, r.serviceAccount, ask, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking for a token of service account %s/%s: %w", r.namespace, r.serviceAccount, err)
	}
	if granted.Status.Token == "" {
		return "", fmt.Errorf("the API server granted service account %s/%s an empty token", r.namespace, r.serviceAccount)
	}
	return granted.Status.Token, nil
}
