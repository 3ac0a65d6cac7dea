package plane

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// options is what the command line of `serve` asks for, checked.
type options struct {
	// dir is absolute; it is absent or empty when the control plane starts.
	dir string
	// port is the API server's; 0 lets the kernel choose.
	port          int
	featureGates  string
	runtimeConfig string
	// auditLevel is empty if there is to be no audit log.
	auditLevel  string
	maxLifetime time.Duration
	noStdin     bool
	remove      bool
	fsync       bool
	verbosity   int
}

// longestLifetime keeps certificates good for as long as anything runs.
const longestLifetime = 24 * time.Hour

var (
	featureGatePattern = regexp.MustCompile(`^[A-Za-z0-9]+=(true|false)$`)
	runtimePattern     = regexp.MustCompile(`^[a-z0-9./-]+=(true|false)$`)
	auditLevels        = []string{"Metadata", "Request", "RequestResponse"}
)

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.dir, "dir", "", "`folder` for data, keys, logs and the kubeconfig; absent or empty (required)")
	flags.IntVar(&opts.port, "port", 0, "the API server's `port` on 127.0.0.1; 0 takes a free one")
	flags.StringVar(&opts.featureGates, "feature-gates", "", "Kubernetes feature `gates`, such as A=true,B=false, for both servers")
	flags.StringVar(&opts.runtimeConfig, "runtime-config", "", "the API server's runtime `config`, such as coordination.k8s.io/v1beta1=true")
	audit := flags.Bool("audit-log", false, "record every request in DIR/audit.log")
	flags.StringVar(&opts.auditLevel, "audit-level", auditLevels[0], "how much of a request the audit log holds: `level` "+strings.Join(auditLevels, ", "))
	flags.DurationVar(&opts.maxLifetime, "max-lifetime", 30*time.Minute, "stop after this `time` whatever happens")
	flags.BoolVar(&opts.noStdin, "no-stdin", false, "read no commands, and go on when standard input ends")
	flags.BoolVar(&opts.remove, "rm", false, "remove DIR at the end")
	flags.BoolVar(&opts.fsync, "fsync", false, "let etcd wait for the disk at every write, as in production")
	flags.IntVar(&opts.verbosity, "verbosity", 1, "the servers' log `level`, 0 to 10")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if !*audit {
		opts.auditLevel = ""
	}
	return opts, opts.check()
}

func (o *options) check() error {
	if o.dir == "" {
		return errors.New("--dir is missing: name a folder that is absent or empty")
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return fmt.Errorf("--dir %s: %w", o.dir, err)
	}
	o.dir = dir
	if o.port < 0 || o.port > 65535 {
		return fmt.Errorf("--port %d is not a port: 0 to 65535", o.port)
	}
	if err := checkList("--feature-gates", o.featureGates, featureGatePattern); err != nil {
		return err
	}
	if err := checkList("--runtime-config", o.runtimeConfig, runtimePattern); err != nil {
		return err
	}
	if o.auditLevel != "" && !slices.Contains(auditLevels, o.auditLevel) {
		return fmt.Errorf("--audit-level %s is none of %s", o.auditLevel, strings.Join(auditLevels, ", "))
	}
	if o.maxLifetime <= 0 || o.maxLifetime > longestLifetime {
		return fmt.Errorf("--max-lifetime %s is out of range: more than 0, at most %s", o.maxLifetime, longestLifetime)
	}
	if o.verbosity < 0 || o.verbosity > 10 {
		return fmt.Errorf("--verbosity %d is out of range: 0 to 10", o.verbosity)
	}
	return nil
}

func checkList(name, list string, pattern *regexp.Regexp) error {
	if list == "" {
		return nil
	}
	for _, item := range strings.Split(list, ",") {
		if !pattern.MatchString(item) {
			return fmt.Errorf("%s: %q is not of the form name=true or name=false", name, item)
		}
	}
	return nil
}
