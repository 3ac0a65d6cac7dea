package plane

import (
	"context"
	"fmt"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// The sockets etcd listens on, so that no port is taken. They are relative to
// the working directory of every process here, because a socket's path may
// have 107 bytes and DIR may be long. That folder only its owner may enter,
// and that is all the access control etcd gets.
const (
	etcdClientSocket = "etcd-client.sock"
	etcdPeerSocket   = "etcd-peer.sock"
)

// startEtcd runs etcd in this process and returns when it serves. Its data
// goes to the working directory, its log to logPath.
func startEtcd(ctx context.Context, logPath string, fsync bool) (*embed.Etcd, error) {
	client := url.URL{Scheme: "unix", Host: etcdClientSocket}
	peer := url.URL{Scheme: "unix", Host: etcdPeerSocket}

	config := embed.NewConfig()
	config.Name = "tenure"
	config.Dir = "etcd-data"
	config.ListenClientUrls = []url.URL{client}
	config.AdvertiseClientUrls = []url.URL{client}
	config.ListenPeerUrls = []url.URL{peer}
	config.AdvertisePeerUrls = []url.URL{peer}
	config.InitialCluster = config.Name + "=" + peer.String()
	config.UnsafeNoFsync = !fsync
	config.LogLevel = "warn"
	config.LogOutputs = []string{logPath}

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
		return nil, fmt.Errorf("etcd stopped while starting; see %s", logPath)
	case <-ctx.Done():
		server.Close()
		return nil, context.Cause(ctx)
	}
}
