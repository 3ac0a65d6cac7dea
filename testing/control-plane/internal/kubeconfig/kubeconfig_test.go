package kubeconfig

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestWhatIsWrittenReadsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	err := Write(path, Access{
		User: "someone", Server: "https://127.0.0.1:1234", CA: []byte("ca"), Token: "secret", Namespace: "there",
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	client := clientcmd.NewDefaultClientConfig(*raw, nil)
	config, err := client.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:1234" || config.BearerToken != "secret" || string(config.CAData) != "ca" {
		t.Errorf("read back as %v", config)
	}
	if namespace, _, err := client.Namespace(); err != nil || namespace != "there" {
		t.Errorf("namespace %q, error %v", namespace, err)
	}
}

func TestOnlyTheOwnerReadsItAndNothingElseIsLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	access := Access{User: "u", Server: "https://127.0.0.1:1", Token: "t"}
	for range 2 {
		if err := Write(path, access); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	// A folder in the way makes the final rename fail.
	if err := os.MkdirAll(filepath.Join(path, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, Access{User: "u", Server: "https://127.0.0.1:1", Token: "t"}); err == nil {
		t.Fatal("wrote over a folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestIncompleteAccessIsRefused(t *testing.T) {
	for name, access := range map[string]Access{
		"no server":           {Token: "t"},
		"no credentials":      {Server: "https://127.0.0.1:1"},
		"both kinds":          {Server: "https://127.0.0.1:1", Token: "t", ClientCert: []byte("c"), ClientKey: []byte("k")},
		"certificate, no key": {Server: "https://127.0.0.1:1", ClientCert: []byte("c")},
	} {
		if _, err := Encode(access); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
