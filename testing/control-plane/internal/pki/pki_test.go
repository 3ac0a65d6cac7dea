package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"testing"
)

func TestServerCertificateIsGoodForLoopbackUnderItsAuthority(t *testing.T) {
	files, err := Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, files.CA)) {
		t.Fatal("the authority's file holds no certificate")
	}
	pair, err := tls.LoadX509KeyPair(files.ServerCert, files.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"127.0.0.1", "localhost", ServiceIP} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "192.0.2.1", Roots: roots}); err == nil {
		t.Error("the certificate passes for an address that is not its own")
	}
}

func TestClientsAreInGroupMasters(t *testing.T) {
	files, err := Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, identity := range map[string]Identity{
		"tenure-admin":                   files.Admin,
		"system:kube-controller-manager": files.ControllerManager,
	} {
		block, _ := pem.Decode(identity.Cert)
		if block == nil {
			t.Fatalf("%s: not PEM", name)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Subject.CommonName != name || !slices.Contains(cert.Subject.Organization, "system:masters") {
			t.Errorf("%s: the certificate says %s", name, cert.Subject)
		}
	}
}

func TestKeysAreForTheOwnerAlone(t *testing.T) {
	files, err := Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{files.ServerKey, files.ServiceAccountKey} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %o", path, info.Mode().Perm())
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
