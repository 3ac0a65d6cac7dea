package plane

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWrongArgumentsAreToldApart(t *testing.T) {
	for want, args := range map[string][]string{
		"--dir is missing":         {},
		`unexpected argument "x"`:  {"--dir", "d", "x"},
		"nonsense":                 {"--dir", "d", "--nonsense"},
		"--port 70000":             {"--dir", "d", "--port", "70000"},
		"--feature-gates: \"A\"":   {"--dir", "d", "--feature-gates", "A"},
		"--feature-gates: \"\"":    {"--dir", "d", "--feature-gates", "A=true,"},
		"--runtime-config: \"a=1":  {"--dir", "d", "--runtime-config", "a=1"},
		"--audit-level Everything": {"--dir", "d", "--audit-log", "--audit-level", "Everything"},
		"--max-lifetime 0s":        {"--dir", "d", "--max-lifetime", "0s"},
		"--max-lifetime 25h":       {"--dir", "d", "--max-lifetime", "25h"},
		"--verbosity 11":           {"--dir", "d", "--verbosity", "11"},
	} {
		if _, err := parseOptions(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", args, err, want)
		}
	}
}

func TestAWholeCommandLine(t *testing.T) {
	opts, err := parseOptions([]string{
		"--dir", "d", "--feature-gates", "A=true,B=false", "--runtime-config", "coordination.k8s.io/v1beta1=true,api/all=false",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(opts.dir) || opts.auditLevel != "" || opts.maxLifetime != 30*time.Minute {
		t.Errorf("%+v", opts)
	}
	opts, err = parseOptions([]string{"--dir", "d", "--audit-log"}, io.Discard)
	if err != nil || opts.auditLevel != "Metadata" {
		t.Errorf("%+v, error %v", opts, err)
	}
}
