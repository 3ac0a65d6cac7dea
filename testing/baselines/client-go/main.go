// The program client-go-candidate stands for election as client-go does it, and says what happens
// in the same JSON lines as `tenure campaign --json`.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

type options struct {
	name, namespace, kubeconfig, identity  string
	leaseDuration, renewDeadline, retrying time.Duration
	candidates, locks                      int
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "", "name of the Lease; with --locks, of which NAME-0, NAME-1, ... are made")
	flag.StringVar(&o.namespace, "namespace", "default", "namespace of the Lease")
	flag.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig file")
	flag.StringVar(&o.identity, "identity", "", "what to stand as; several candidates add their numbers (default: made up)")
	flag.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "as client-go's LeaseDuration")
	flag.DurationVar(&o.renewDeadline, "renew-deadline", 10*time.Second, "as client-go's RenewDeadline")
	flag.DurationVar(&o.retrying, "retry-period", 2*time.Second, "as client-go's RetryPeriod")
	flag.IntVar(&o.candidates, "candidates", 1, "candidates for each lock, each with connections of its own")
	flag.IntVar(&o.locks, "locks", 1, "locks, which share each candidate's connections")
	version := flag.Bool("version", false, "print the version of client-go")
	flag.Parse()
	if *version {
		fmt.Println("client-go", clientGoVersion())
		return
	}
	if o.name == "" || flag.NArg() > 0 || o.candidates < 1 || o.locks < 1 {
		fmt.Fprintln(os.Stderr, "usage: client-go-candidate --name NAME [flags]; see --help")
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "client-go-candidate:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	// Standard output is for events alone, and the log of a thousand locks costs CPU.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go endWithParent(os.Getppid())
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	// No limit of the client's own: what is measured is leader election.
	config.QPS = -1
	events := newEvents(os.Stdout)
	var all sync.WaitGroup
	for number := range o.candidates {
		client, err := ownClient(config)
		if err != nil {
			return err
		}
		for lock := range o.locks {
			name := o.name
			if o.locks > 1 {
				name = fmt.Sprintf("%s-%d", o.name, lock)
			}
			c := candidate{options: o, client: client, name: name, identity: o.identityOf(number), events: events}
			all.Go(func() { c.stand(ctx) })
		}
	}
	all.Wait()
	return nil
}

// endWithParent: when whoever started this is gone, nobody would end it.
func endWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(0)
}

// ownClient gives a client that shares no connection with any other: client-go keeps one transport
// for equal configurations, and never takes two with dialers for equal.
func ownClient(config *rest.Config) (*kubernetes.Clientset, error) {
	own := rest.CopyConfig(config)
	own.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	return kubernetes.NewForConfig(own)
}

// clientGoVersion is what this program was built with.
func clientGoVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/client-go" {
				return module.Version
			}
		}
	}
	return "of an unknown version"
}

func (o options) identityOf(number int) string {
	switch {
	case o.identity == "":
		host, err := os.Hostname()
		if err != nil {
			host = "host"
		}
		return fmt.Sprintf("%s_%d_%016x", host, os.Getpid(), rand.Uint64())
	case o.candidates > 1:
		return fmt.Sprintf("%s-%d", o.identity, number)
	default:
		return o.identity
	}
}
