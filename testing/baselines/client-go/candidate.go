package main

import (
	"context"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	rl "k8s.io/client-go/tools/leaderelection/resourcelock"
)

// candidate stands for one lock, again after each loss.
type candidate struct {
	options
	client   *kubernetes.Clientset
	name     string
	identity string
	events   *events
}

// stand returns when the context is over and the lock, if it was held, is released.
func (c *candidate) stand(ctx context.Context) {
	for ctx.Err() == nil {
		lock := &watchedLock{Interface: &rl.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: c.name, Namespace: c.namespace},
			Client:     c.client.CoordinationV1(),
			LockConfig: rl.ResourceLockConfig{Identity: c.identity},
		}}
		var led atomic.Bool
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock:            lock,
			LeaseDuration:   c.leaseDuration,
			RenewDeadline:   c.renewDeadline,
			RetryPeriod:     c.retrying,
			ReleaseOnCancel: true,
			Name:            c.name,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) {
					led.Store(true)
					c.tell("leading", time.Now(), c.identity, lock, "")
				},
				OnStoppedLeading: func() {},
				OnNewLeader: func(holder string) {
					if holder != c.identity {
						c.tell("standby", time.Now(), holder, nil, "")
					}
				},
			},
		})
		if !led.Load() {
			continue
		}
		if at := lock.releasedAt.Load(); at != 0 {
			c.tell("released", time.Unix(0, at), "", lock, "asked to end")
		} else {
			c.tell("lost", time.Now(), "", lock, "renewing failed")
		}
	}
}

func (c *candidate) tell(what string, at time.Time, holder string, lock *watchedLock, reason string) {
	e := event{Event: what, UnixNs: at.UnixNano(), Identity: c.identity}
	if holder != "" {
		e.Holder = &holder
	}
	if reason != "" {
		e.Reason = &reason
	}
	if lock != nil {
		term := lock.transitions.Load()
		e.Term = &term
	}
	c.events.say(e)
}

// watchedLock notes what its writes say, and when the releasing one was sent.
type watchedLock struct {
	rl.Interface
	transitions atomic.Int64
	releasedAt  atomic.Int64
}

func (l *watchedLock) Create(ctx context.Context, record rl.LeaderElectionRecord) error {
	err := l.Interface.Create(ctx, record)
	if err == nil {
		l.transitions.Store(int64(record.LeaderTransitions))
	}
	return err
}

func (l *watchedLock) Update(ctx context.Context, record rl.LeaderElectionRecord) error {
	// A write without a holder is the release.
	sent := time.Now().UnixNano()
	err := l.Interface.Update(ctx, record)
	if err == nil {
		l.transitions.Store(int64(record.LeaderTransitions))
		if record.HolderIdentity == "" {
			l.releasedAt.Store(sent)
		}
	}
	return err
}
