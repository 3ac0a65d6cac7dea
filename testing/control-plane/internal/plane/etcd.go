package plane

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcdFolder holds etcd's data and its sockets; only the owner may enter, and
// that is all the access control etcd gets.
const etcdFolder = "etcd"

// etcdEndpoint is where the API server finds etcd: a unix socket, so that no
// port is taken. It is relative because a socket's path may have 107 bytes
// and DIR may be long; every process here runs in DIR.
const etcdEndpoint = "unix://" + etcdFolder + "/client.sock"

// startEtcd runs etcd in this process, whose working directory is dir, and
// returns when it serves.
func startEtcd(ctx context.Context, dir string, fsync bool) (*embed.Etcd, error) {
	folder := filepath.Join(dir, etcdFolder)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making etcd's folder: %w", err)
	}
	client := url.URL{Scheme: "unix", Host: etcdFolder, Path: "/client.sock"}
	peer := url.URL{Scheme: "unix", Host: etcdFolder, Path: "/peer.sock"}

	config := embed.NewConfig()
	config.Name = "tenure"
	config.Dir = filepath.Join(folder, "data")
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	config.UnsafeNoFsync = !fsync
	config.LogLevel = "warn"
	config.LogOutputs = []string{filepath.Join(dir, "etcd.log")}

	server, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err := <-server.Err():
		server.Close()
		return nil, fmt.Errorf("starting etcd: %w", err)
	case <-server.Server.StopNotify():
		server.Close()
		return nil, fmt.Errorf("etcd stopped while starting; see %s", config.LogOutputs[0])
	case <-ctx.Done():
		server.Close()
		return nil, context.Cause(ctx)
	}
}
