// Candidates on client-go's leader election, which say what happens to them in the words of
// `tenure campaign --json`, so that both can be timed side by side.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type event struct {
	Event    string  `json:"event"`
	UnixNs   int64   `json:"unix_ns"`
	Identity string  `json:"identity"`
	Holder   *string `json:"holder"`
	Lock     string  `json:"lock"`
}

type options struct {
	name, namespace, identity  string
	duration, deadline, period time.Duration
	candidates, locks          int
	kubeconfig                 string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "client-go candidate:", err)
		os.Exit(1)
	}
}

func run() error {
	o := options{}
	flag.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "where the cluster is")
	flag.StringVar(&o.name, "name", "", "the Lease; with several locks, what their names begin with")
	flag.StringVar(&o.namespace, "namespace", "default", "where the Lease is")
	flag.StringVar(&o.identity, "identity", "", "what the candidate calls itself")
	flag.DurationVar(&o.duration, "lease-duration", 15*time.Second, "")
	flag.DurationVar(&o.deadline, "renew-deadline", 10*time.Second, "")
	flag.DurationVar(&o.period, "retry-period", 2*time.Second, "")
	flag.IntVar(&o.candidates, "candidates", 1, "how many candidates stand in this process")
	flag.IntVar(&o.locks, "locks", 1, "how many locks each of them stands for")
	flag.Parse()
	if o.name == "" || o.identity == "" {
		return fmt.Errorf("--name and --identity have to be given")
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	lines := json.NewEncoder(os.Stdout)
	var writing sync.Mutex
	say := func(e event) {
		writing.Lock()
		defer writing.Unlock()
		e.UnixNs = time.Now().UnixNano()
		_ = lines.Encode(e)
	}
	var all sync.WaitGroup
	for c := range o.candidates {
		for l := range o.locks {
			name, identity := o.name, o.identity
			if o.locks > 1 {
				name = fmt.Sprintf("%s-%d", o.name, l)
			}
			if o.candidates > 1 {
				identity = fmt.Sprintf("%s-%d", o.identity, c)
			}
			all.Add(1)
			go func() {
				defer all.Done()
				if err := stand(ctx, config, o, name, identity, say); err != nil {
					fmt.Fprintln(os.Stderr, "client-go candidate:", err)
				}
			}()
		}
	}
	all.Wait()
	return nil
}

func stand(ctx context.Context, config *rest.Config, o options, name, identity string, say func(event)) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: name, Namespace: o.namespace},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   o.duration,
		RenewDeadline:   o.deadline,
		RetryPeriod:     o.period,
		ReleaseOnCancel: true,
		Name:            name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				say(event{Event: "leading", Identity: identity, Holder: &identity, Lock: name})
				<-ctx.Done()
			},
			OnStoppedLeading: func() {
				say(event{Event: "lost", Identity: identity, Lock: name})
			},
			OnNewLeader: func(leader string) {
				if leader != identity {
					say(event{Event: "standby", Identity: identity, Holder: &leader, Lock: name})
				}
			},
		},
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}
