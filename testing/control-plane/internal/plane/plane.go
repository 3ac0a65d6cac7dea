package plane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tenure-rs/tenure/testing/control-plane/internal/kubeconfig"
	"github.com/tenure-rs/tenure/testing/control-plane/internal/pki"
)

const (
	// startTimeout bounds every start of a server until it is ready.
	startTimeout = 90 * time.Second
	// stopGrace is how long a server that was asked to end may take.
	stopGrace = 10 * time.Second
)

// plane is one running control plane. Only one goroutine uses it at a time.
type plane struct {
	opts    *options
	keys    *pki.Files
	port    *reservation
	etcd    *embed.Etcd
	spawner *spawner
	client  kubernetes.Interface
	// ours is set once the folder was found absent or empty: it may be removed.
	ours bool

	// apiServer and controllerManager are nil while stopped.
	apiServer         *child
	controllerManager *child
	frozen            bool

	// failed is called, from any goroutine, when a child or etcd ends unasked.
	failed func(error)
}

// start brings everything up; on an error the caller still calls stop.
func (p *plane) start(ctx context.Context) error {
	if err := p.prepare(); err != nil {
		return err
	}
	etcd, err := startEtcd(ctx, filepath.Join(p.opts.dir, "etcd.log"), p.opts.fsync)
	if err != nil {
		return err
	}
	p.etcd = etcd
	go p.watchEtcd(etcd)

	if err := p.startAPIServer(ctx); err != nil {
		return err
	}
	if err := p.startControllerManager(ctx); err != nil {
		return err
	}
	return kubeconfig.Write(p.adminKubeconfig(), p.access("tenure-admin", p.keys.Admin))
}

// stop ends everything that runs. It kills: the data is thrown away, so there
// is nothing to save, and to clients it is a crash.
func (p *plane) stop() {
	for _, c := range []*child{p.controllerManager, p.apiServer} {
		if c != nil {
			c.kill()
		}
	}
	p.controllerManager, p.apiServer = nil, nil
	if p.etcd != nil {
		p.etcd.Close()
	}
	if p.port != nil {
		p.port.close()
	}
}

func (p *plane) startAPIServer(ctx context.Context) error {
	if p.apiServer != nil {
		return errors.New("the API server is running already")
	}
	c, err := p.spawn(APIServerCommand, apiServerArguments(p.opts, p.keys, p.port.port))
	if err != nil {
		return err
	}
	p.apiServer, p.frozen = c, false
	return p.waitFor(ctx, c, waitForServer)
}

// stopAPIServer asks the API server to end and waits for it: what it is doing
// is finished first.
func (p *plane) stopAPIServer(context.Context) error {
	switch {
	case p.apiServer == nil:
		return errors.New("the API server is not running")
	case p.frozen:
		return errors.New("the API server is frozen: thaw-apiserver first, or kill-apiserver")
	}
	p.apiServer.terminate(stopGrace)
	p.apiServer = nil
	return nil
}

// killAPIServer ends the API server at once, frozen or not.
func (p *plane) killAPIServer(context.Context) error {
	if p.apiServer == nil {
		return errors.New("the API server is not running")
	}
	p.apiServer.kill()
	p.apiServer, p.frozen = nil, false
	return nil
}

func (p *plane) freezeAPIServer(context.Context) error {
	switch {
	case p.apiServer == nil:
		return errors.New("the API server is not running")
	case p.frozen:
		return errors.New("the API server is frozen already")
	}
	if err := p.apiServer.freeze(); err != nil {
		return err
	}
	p.frozen = true
	return nil
}

func (p *plane) thawAPIServer(context.Context) error {
	if p.apiServer == nil || !p.frozen {
		return errors.New("the API server is not frozen")
	}
	if err := p.apiServer.thaw(); err != nil {
		return err
	}
	p.frozen = false
	return nil
}

func (p *plane) startControllerManager(ctx context.Context) error {
	switch {
	case p.controllerManager != nil:
		return errors.New("the controller manager is running already")
	case p.apiServer == nil || p.frozen:
		return errors.New("the controller manager needs the API server, which is not running")
	}
	c, err := p.spawn(ControllerManagerCommand, controllerManagerArguments(p.opts, p.keys, p.managerKubeconfig()))
	if err != nil {
		return err
	}
	p.controllerManager = c
	return p.waitFor(ctx, c, waitForControllers)
}

func (p *plane) stopControllerManager(context.Context) error {
	if p.controllerManager == nil {
		return errors.New("the controller manager is not running")
	}
	p.controllerManager.terminate(stopGrace)
	p.controllerManager = nil
	return nil
}

func (p *plane) server() string {
	return fmt.Sprintf("https://127.0.0.1:%d", p.port.port)
}

func (p *plane) adminKubeconfig() string {
	return filepath.Join(p.opts.dir, "admin.kubeconfig")
}

func (p *plane) managerKubeconfig() string {
	return filepath.Join(p.opts.dir, "pki", "controller-manager.kubeconfig")
}

func (p *plane) access(user string, identity pki.Identity) kubeconfig.Access {
	return kubeconfig.Access{
		User: user, Server: p.server(), CA: p.keys.CAPEM, ClientCert: identity.Cert, ClientKey: identity.Key,
	}
}

// prepare makes the folder, the keys, the port and the admin's client.
func (p *plane) prepare() error {
	if err := makeEmpty(p.opts.dir); err != nil {
		return err
	}
	p.ours = true
	run := filepath.Join(p.opts.dir, "run")
	if err := os.Mkdir(run, 0o700); err != nil {
		return fmt.Errorf("making the folder for etcd: %w", err)
	}
	// The children inherit it, and with it the way to etcd's socket.
	if err := os.Chdir(run); err != nil {
		return fmt.Errorf("entering %s: %w", run, err)
	}
	pkiFolder := filepath.Join(p.opts.dir, "pki")
	if err := os.Mkdir(pkiFolder, 0o700); err != nil {
		return fmt.Errorf("making the folder for keys: %w", err)
	}
	var err error
	if p.keys, err = pki.Write(pkiFolder); err != nil {
		return err
	}
	if p.port, err = reserve(p.opts.port); err != nil {
		return err
	}
	if p.opts.auditLevel != "" {
		policy := fmt.Sprintf(auditPolicy, p.opts.auditLevel)
		if err := os.WriteFile(filepath.Join(p.opts.dir, auditPolicyFile), []byte(policy), 0o600); err != nil {
			return fmt.Errorf("writing the audit policy: %w", err)
		}
	}
	manager := p.access("system:kube-controller-manager", p.keys.ControllerManager)
	if err := kubeconfig.Write(p.managerKubeconfig(), manager); err != nil {
		return err
	}
	p.client, err = adminClient(p.access("tenure-admin", p.keys.Admin))
	return err
}

// makeEmpty makes dir, or finds it empty: what is in it may be removed by us.
func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the folder: %w", err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("looking into the folder: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; name a folder that is absent or empty", dir)
	}
	return nil
}

func adminClient(access kubeconfig.Access) (kubernetes.Interface, error) {
	content, err := kubeconfig.Encode(access)
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		return nil, fmt.Errorf("reading our own kubeconfig: %w", err)
	}
	config.QPS = -1
	config.Timeout = 5 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the admin's client: %w", err)
	}
	return client, nil
}

// spawn starts a child and reports its end unless we bring it about.
func (p *plane) spawn(name string, args []string) (*child, error) {
	c, err := p.spawner.start(p.opts.dir, name, args)
	if err != nil {
		return nil, err
	}
	go func() {
		<-c.exited
		if !c.expected.Load() {
			p.failed(c.endError())
		}
	}()
	return c, nil
}

// waitFor waits for condition while c runs, for at most startTimeout.
func (p *plane) waitFor(ctx context.Context, c *child, condition func(context.Context, kubernetes.Interface) error) error {
	ctx, cancel := c.whileRunning(ctx)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("not ready after %s; see %s", startTimeout, c.logPath))
	defer cancelTimeout()
	return condition(ctx, p.client)
}

func (p *plane) watchEtcd(etcd *embed.Etcd) {
	select {
	case err := <-etcd.Err():
		if err != nil {
			p.failed(fmt.Errorf("etcd: %w", err))
		}
	case <-etcd.Server.StopNotify():
		// Close brings this about too, and then nobody listens to failed.
		p.failed(errors.New("etcd stopped"))
	}
}
