package plane

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tenure-rs/tenure/testing/control-plane/internal/pki"
)

// The names under which this program runs as one of its servers.
const (
	APIServerCommand         = "kube-apiserver"
	ControllerManagerCommand = "kube-controller-manager"
)

const auditPolicyFile = "audit-policy.yaml"

// auditPolicy records each request once, when it is answered: the event holds
// both times.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: %s
`

// controllers are those whose work a client sees without any node: what
// deletes (collector, namespaces), what every namespace is given, and what
// fills the roles admin, edit and view.
var controllers = []string{
	"garbage-collector-controller",
	"namespace-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller",
}

func apiServerArguments(opts *options, keys *pki.Files, port int) []string {
	args := []string{
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--permit-port-sharing=true", // beside our reservation
		"--etcd-servers=unix://" + etcdClientSocket,
		"--tls-cert-file=" + keys.ServerCert,
		"--tls-private-key-file=" + keys.ServerKey,
		"--client-ca-file=" + keys.CA,
		"--authorization-mode=Node,RBAC",
		// It would refuse bare Pods in namespaces whose service account is not there yet.
		"--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + keys.ServiceAccountKey,
		"--service-account-key-file=" + keys.ServiceAccountPub,
		"--service-cluster-ip-range=10.0.0.0/24",
		// Loopback is no valid endpoint of the Service `kubernetes`.
		"--endpoint-reconciler-type=none",
		// Without it, a server asked to end waits a minute for watches to end by themselves.
		"--shutdown-watch-termination-grace-period=1s",
		"--profiling=false",
		fmt.Sprintf("--v=%d", opts.verbosity),
	}
	if opts.featureGates != "" {
		args = append(args, "--feature-gates="+opts.featureGates)
	}
	if opts.runtimeConfig != "" {
		args = append(args, "--runtime-config="+opts.runtimeConfig)
	}
	if opts.auditLevel != "" {
		args = append(args,
			"--audit-policy-file="+filepath.Join(opts.dir, auditPolicyFile),
			"--audit-log-path="+auditLogPath(opts),
			"--audit-log-mode=blocking", // an answered request is in the log
		)
	}
	return args
}

func controllerManagerArguments(opts *options, keys *pki.Files, kubeconfig string) []string {
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false",
		"--secure-port=0", // nobody asks it anything
		"--root-ca-file=" + keys.CA,
		"--service-account-private-key-file=" + keys.ServiceAccountKey,
		// Its default of 20 requests a second holds the collector back, not by
		// meaning but by thrift.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--kube-api-content-type=application/vnd.kubernetes.protobuf",
		"--profiling=false",
		fmt.Sprintf("--v=%d", opts.verbosity),
	}
	if opts.featureGates != "" {
		args = append(args, "--feature-gates="+opts.featureGates)
	}
	return args
}

func auditLogPath(opts *options) string {
	return filepath.Join(opts.dir, "audit.log")
}
