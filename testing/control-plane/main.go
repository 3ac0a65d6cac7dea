// Command tenure-control-plane is a Kubernetes control plane for tests: etcd,
// kube-apiserver, kube-controller-manager and kubectl in one static program
// that listens on loopback alone and goes away with whoever started it.
//
// README.md tells how to build it, how to run it and what it leaves unproven.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	etcdversion "go.etcd.io/etcd/api/v3/version"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // the client metrics both servers report
	_ "k8s.io/component-base/metrics/prometheus/version"  // the build version both servers report
	kubeversion "k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"github.com/tenure-rs/tenure/testing/control-plane/internal/plane"
	"github.com/tenure-rs/tenure/testing/control-plane/internal/token"
)

const usage = `tenure-control-plane: a Kubernetes control plane on loopback, for tests

  serve --dir DIR [switches]      run etcd, kube-apiserver and kube-controller-manager
  kubectl ...                     the real kubectl
  token-kubeconfig [switches]     write a kubeconfig for a service account
  version                         say what is inside

'serve --help' and 'token-kubeconfig --help' list their switches.
`

func main() {
	os.Exit(run(os.Args))
}

// run is main without the exit, so that the tests' own binary can play the
// program (see TestMain).
func run(args []string) int {
	if len(args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch args[1] {
	case "serve":
		return plane.Serve(args[2:], os.Stdin, os.Stdout, os.Stderr)
	case "token-kubeconfig":
		return token.Main(args[2:], os.Stderr)
	case "kubectl":
		return runKubectl(args[1:])
	case "version":
		printVersion(os.Stdout)
		return 0
	case "help", "-h", "--help":
		fmt.Print(usage)
		return 0
	// What serve starts this program again as; not meant for people.
	case plane.APIServerCommand:
		os.Args = args[1:]
		return cli.Run(apiserver.NewAPIServerCommand())
	case plane.ControllerManagerCommand:
		os.Args = args[1:]
		return cli.Run(controllermanager.NewControllerManagerCommand())
	default:
		fmt.Fprintf(os.Stderr, "unknown command %q\n\n%s", args[1], usage)
		return 2
	}
}

func runKubectl(args []string) int {
	// kubectl reads os.Args itself while it builds its commands (plugins, kuberc).
	os.Args = args
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
		return 1
	}
	return 0
}

func printVersion(out io.Writer) {
	fmt.Fprintf(out, "kubernetes %s\netcd v%s\n%s %s/%s\n",
		kubeversion.Get().GitVersion, etcdversion.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
