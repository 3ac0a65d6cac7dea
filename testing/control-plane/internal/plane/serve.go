// Package plane runs a control plane: etcd in this process, kube-apiserver and
// kube-controller-manager as this program started again, all of it ended with
// this process whatever ends it.
package plane

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// The ways to an end that are no failure.
var (
	errQuit       = errors.New("quit")
	errEndOfInput = errors.New("end of input")
)

// signalled is the end by a signal.
type signalled struct{ signal os.Signal }

func (s signalled) Error() string { return "signal: " + s.signal.String() }

// Serve is the command `serve`. It returns the exit code: 0 after quit, end
// of input or a signal, 2 for wrong arguments, 1 for everything else.
func Serve(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "serve: %v\n", err)
		return 2
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	handleSignals(cancel)
	lifetime := time.AfterFunc(opts.maxLifetime, func() {
		cancel(fmt.Errorf("the longest lifetime of %s is over; see --max-lifetime", opts.maxLifetime))
	})
	defer lifetime.Stop()
	commands := make(chan string)
	if !opts.noStdin {
		go readCommands(ctx, stdin, commands, cancel)
	}

	reporter := &reporter{out: stdout}
	err = serve(ctx, opts, commands, reporter, cancel)
	return conclude(err, reporter, stderr)
}

// serve runs a control plane until ctx ends and returns why it did, or why it
// could not run. By then everything is stopped and, if asked for, removed.
func serve(ctx context.Context, opts *options, commands <-chan string, reporter *reporter, cancel context.CancelCauseFunc) (err error) {
	began := time.Now()
	p := &plane{opts: opts, spawner: newSpawner(), failed: func(err error) { cancel(err) }}
	defer func() {
		p.stop()
		if opts.remove && p.ours {
			if removeErr := os.RemoveAll(opts.dir); removeErr != nil {
				err = fmt.Errorf("removing the folder: %w", removeErr)
			}
		}
	}()
	if err := p.start(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	ready := event{
		Event: "ready", Kubeconfig: p.adminKubeconfig(), Server: p.server(),
		ReadyMS: time.Since(began).Milliseconds(),
	}
	if opts.auditLevel != "" {
		ready.AuditLog = auditLogPath(opts)
	}
	if err := reporter.report(ready); err != nil {
		return err
	}
	for {
		select {
		case command := <-commands:
			if err := reporter.report(p.obey(ctx, command)); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// obey runs one command and returns the answer.
func (p *plane) obey(ctx context.Context, command string) event {
	actions := map[string]func(context.Context) error{
		"stop-apiserver":           p.stopAPIServer,
		"start-apiserver":          p.startAPIServer,
		"kill-apiserver":           p.killAPIServer,
		"freeze-apiserver":         p.freezeAPIServer,
		"thaw-apiserver":           p.thawAPIServer,
		"stop-controller-manager":  p.stopControllerManager,
		"start-controller-manager": p.startControllerManager,
	}
	action, known := actions[command]
	if !known {
		return event{Event: "error", Command: command, Error: "unknown command; see testing/control-plane/README.md"}
	}
	began := time.Now()
	if err := action(ctx); err != nil {
		return event{Event: "error", Command: command, Error: err.Error()}
	}
	took := time.Since(began).Milliseconds()
	return event{Event: "done", Command: command, MS: &took}
}

// readCommands hands on one command a line. quit and the end of input do not
// wait for the commands before them.
func readCommands(ctx context.Context, stdin io.Reader, commands chan<- string, cancel context.CancelCauseFunc) {
	// Reading goes on while a command runs, so that the end is seen at once.
	queue := make(chan string, 64)
	go func() {
		for command := range queue {
			select {
			case commands <- command:
			case <-ctx.Done():
				return
			}
		}
	}()
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		switch command := strings.TrimSpace(lines.Text()); command {
		case "":
		case "quit":
			cancel(errQuit)
			return
		default:
			select {
			case queue <- command:
			case <-ctx.Done():
				return
			}
		}
	}
	if err := lines.Err(); err != nil {
		cancel(fmt.Errorf("reading commands: %w", err))
		return
	}
	cancel(errEndOfInput)
}

// handleSignals makes the first signal a clean stop and the second an end at
// once, which takes the children along (Pdeathsig).
func handleSignals(cancel context.CancelCauseFunc) {
	// A reader that is gone shows as a failed write, and that is an end too.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		cancel(signalled{<-signals})
		<-signals
		os.Exit(1)
	}()
}

// conclude reports the last event and chooses the exit code.
func conclude(err error, reporter *reporter, stderr io.Writer) int {
	var bySignal signalled
	last, code := event{Event: "stopped", Reason: err.Error()}, 0
	if !errors.Is(err, errQuit) && !errors.Is(err, errEndOfInput) && !errors.As(err, &bySignal) {
		last, code = event{Event: "failed", Error: err.Error()}, 1
		fmt.Fprintf(stderr, "serve: %v\n", err)
	}
	// Whoever started us may be gone; there is nobody else to tell.
	_ = reporter.report(last)
	return code
}
