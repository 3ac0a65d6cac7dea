// Package pki makes the keys and certificates of one throw-away control plane.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetime is how long every certificate is good for: well past the longest
// life a control plane may have.
const Lifetime = 7 * 24 * time.Hour

// ServiceIP is the address of the `kubernetes` Service in the API server's
// default service range.
const ServiceIP = "10.0.0.1"

// Files names what Write has written. All paths are absolute if the folder was.
type Files struct {
	// CA signs the server's certificate and every client's.
	CA string
	// CAPEM is what is in it.
	CAPEM []byte
	// ServerCert and ServerKey are the API server's, good for 127.0.0.1 and localhost.
	ServerCert, ServerKey string
	// ServiceAccountKey signs tokens; ServiceAccountPub checks them.
	ServiceAccountKey, ServiceAccountPub string
	// Admin and ControllerManager are client identities in group system:masters.
	Admin, ControllerManager Identity
}

// Identity is a client's certificate and key, PEM encoded.
type Identity struct {
	Cert, Key []byte
}

// Write makes a new authority and everything it signs, and writes what the
// servers read as files to dir, which must exist.
func Write(dir string) (*Files, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	server, err := ca.issue("kube-apiserver", nil, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	admin, err := ca.issue("tenure-admin", []string{"system:masters"}, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	// Without system:masters the garbage collector may delete nothing, and says nothing.
	manager, err := ca.issue("system:kube-controller-manager", []string{"system:masters"}, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	tokenKey, tokenPub, err := newTokenKey()
	if err != nil {
		return nil, err
	}

	files := &Files{
		CA:                filepath.Join(dir, "ca.crt"),
		CAPEM:             ca.pem,
		ServerCert:        filepath.Join(dir, "apiserver.crt"),
		ServerKey:         filepath.Join(dir, "apiserver.key"),
		ServiceAccountKey: filepath.Join(dir, "service-account.key"),
		ServiceAccountPub: filepath.Join(dir, "service-account.pub"),
		Admin:             *admin,
		ControllerManager: *manager,
	}
	for path, content := range map[string][]byte{
		files.CA:                ca.pem,
		files.ServerCert:        server.Cert,
		files.ServerKey:         server.Key,
		files.ServiceAccountKey: tokenKey,
		files.ServiceAccountPub: tokenPub,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, fmt.Errorf("writing key material: %w", err)
		}
	}
	return files, nil
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority() (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := template("tenure-control-plane-ca", nil)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate back: %w", err)
	}
	return &authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

func (a *authority) issue(name string, groups []string, usage x509.ExtKeyUsage) (*Identity, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := template(name, groups)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	if usage == x509.ExtKeyUsageServerAuth {
		template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(ServiceIP)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of %s: %w", name, err)
	}
	return &Identity{Cert: encode("CERTIFICATE", der), Key: encode("PRIVATE KEY", keyDER)}, nil
}

func template(name string, groups []string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(Lifetime),
	}, nil
}

func newTokenKey() (private, public []byte, err error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the service-account key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the service-account key: %w", err)
	}
	return encode("PRIVATE KEY", privateDER), encode("PUBLIC KEY", publicDER), nil
}

// newKey draws a P-256 key: made in microseconds, where RSA takes a good part
// of the start-up time, and understood by every client.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	return key, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
