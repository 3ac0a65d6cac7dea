// Package kubeconfig writes kubeconfig files that hold all they need, so that
// they can be moved, and that appear whole or not at all.
package kubeconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Access is one way into one cluster: by a client certificate or by a token.
type Access struct {
	// User names the kubeconfig's user entry; it grants nothing.
	User string
	// Server is the API server's URL.
	Server string
	// CA is the PEM certificate the server is checked against.
	CA []byte
	// ClientCert and ClientKey are PEM; both are empty if Token is set.
	ClientCert, ClientKey []byte
	// Token is a bearer token; empty if ClientCert is set.
	Token string
	// Namespace is the context's; empty means "default".
	Namespace string
}

const entry = "tenure"

// Write puts a kubeconfig for access at path, mode 0600. Whoever polls for
// path finds it complete.
func Write(path string, access Access) error {
	content, err := Encode(access)
	if err != nil {
		return err
	}
	return writeAtomically(path, content)
}

// Encode is the text that Write writes.
func Encode(access Access) ([]byte, error) {
	switch byCert, byToken := len(access.ClientCert) > 0 && len(access.ClientKey) > 0, access.Token != ""; {
	case access.Server == "":
		return nil, errors.New("a kubeconfig needs the server's URL")
	case byCert == byToken:
		return nil, errors.New("a kubeconfig needs either a client certificate with its key or a token")
	}
	config := api.NewConfig()
	config.Clusters[entry] = &api.Cluster{Server: access.Server, CertificateAuthorityData: access.CA}
	config.AuthInfos[access.User] = &api.AuthInfo{
		ClientCertificateData: access.ClientCert,
		ClientKeyData:         access.ClientKey,
		Token:                 access.Token,
	}
	config.Contexts[entry] = &api.Context{Cluster: entry, AuthInfo: access.User, Namespace: access.Namespace}
	config.CurrentContext = entry
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	return content, nil
}

func writeAtomically(path string, content []byte) (err error) {
	// CreateTemp makes the file with mode 0600.
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
