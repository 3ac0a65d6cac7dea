package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// patience bounds every wait of these tests.
const patience = time.Minute

func TestAControlPlaneLives(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	s := serve(t)
	ready := s.next("ready")
	t.Logf("ready after %v ms", ready["ready_ms"])
	admin := client(t, ready["kubeconfig"].(string))
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()

	t.Run("the owner's end is the dependent's", func(t *testing.T) {
		t.Logf("collected %s after its owner's deletion", collect(ctx, t, admin))
	})
	t.Run("a token is bound to its Pod and to its rights", func(t *testing.T) {
		checkToken(ctx, t, admin, ready["kubeconfig"].(string))
	})
	t.Run("a restart keeps the data and the port", func(t *testing.T) {
		keep := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "keep"}}
		if _, err := admin.CoreV1().ConfigMaps("default").Create(ctx, keep, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, end := range []string{"stop-apiserver", "kill-apiserver"} {
			t.Logf("%s took %v ms", end, s.command(end)["ms"])
			if _, err := admin.CoreV1().ConfigMaps("default").Get(ctx, "keep", metav1.GetOptions{}); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after %s: %v", end, err)
			}
			t.Logf("start-apiserver took %v ms", s.command("start-apiserver")["ms"])
			if _, err := admin.CoreV1().ConfigMaps("default").Get(ctx, "keep", metav1.GetOptions{}); err != nil {
				t.Errorf("after the restart: %v", err)
			}
		}
	})
	t.Run("a frozen API server answers once thawed", func(t *testing.T) {
		s.command("freeze-apiserver")
		short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		if _, err := admin.CoreV1().ConfigMaps("default").Get(short, "keep", metav1.GetOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while frozen: %v", err)
		}
		s.command("thaw-apiserver")
		if _, err := admin.CoreV1().ConfigMaps("default").Get(ctx, "keep", metav1.GetOptions{}); err != nil {
			t.Errorf("after the thaw: %v", err)
		}
	})
	t.Run("the controller manager stops and starts", func(t *testing.T) {
		s.command("stop-controller-manager")
		t.Logf("start-controller-manager took %v ms", s.command("start-controller-manager")["ms"])
		// Not before: after an outage of the API server its watches come back late.
		t.Logf("collected %s after its owner's deletion", collect(ctx, t, admin))
	})

	children := s.children()
	if len(children) != 2 {
		t.Errorf("children: %v", children)
	}
	s.say("quit")
	if stopped := s.next("stopped"); stopped["reason"] != "quit" {
		t.Errorf("stopped: %v", stopped)
	}
	s.wait(0)
	expectGone(t, children)
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestNothingOutlivesIt(t *testing.T) {
	if testing.Short() {
		t.Skip("starts control planes")
	}
	t.Run("killed", func(t *testing.T) {
		s := serve(t)
		s.next("ready")
		children := s.children()
		if err := s.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		s.wait(-1)
		expectGone(t, children)
	})
	t.Run("end of input before it is ready", func(t *testing.T) {
		s := serve(t)
		var children []int
		within(t, "a child", func() bool { children = s.children(); return len(children) > 0 })
		s.stdin.Close()
		if stopped := s.next("stopped"); stopped["reason"] != "end of input" {
			t.Errorf("stopped: %v", stopped)
		}
		s.wait(0)
		expectGone(t, children)
	})
	t.Run("at the end of its lifetime", func(t *testing.T) {
		s := serve(t, "--max-lifetime", "1s", "--no-stdin")
		if failed := s.next("failed"); !strings.Contains(failed["error"].(string), "lifetime") {
			t.Errorf("failed: %v", failed)
		}
		s.wait(1)
	})
	t.Run("a server that cannot start", func(t *testing.T) {
		s := serve(t, "--feature-gates", "NoSuchGate=true")
		if failed := s.next("failed"); !strings.Contains(failed["error"].(string), "NoSuchGate") {
			t.Errorf("failed: %v", failed)
		}
		s.wait(1)
	})
}

// collect makes a ConfigMap owned by a Pod, deletes the Pod at once and says
// how long the collector took to delete the ConfigMap.
func collect(ctx context.Context, t *testing.T, admin kubernetes.Interface) time.Duration {
	t.Helper()
	core := admin.CoreV1()
	pod := makePod(ctx, t, admin, "owner", "default")
	dependent := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:            "dependent",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
	}}
	if _, err := core.ConfigMaps("default").Create(ctx, dependent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := core.Pods("default").Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	within(t, "the ConfigMap to be collected", func() bool {
		_, err := core.ConfigMaps("default").Get(ctx, "dependent", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	return time.Since(began).Round(time.Millisecond)
}

func checkToken(ctx context.Context, t *testing.T, admin kubernetes.Interface, kubeconfig string) {
	makePod(ctx, t, admin, "bound", "default")
	out := filepath.Join(t.TempDir(), "kubeconfig")
	command := program("token-kubeconfig", "--kubeconfig", kubeconfig, "--service-account", "default", "--pod", "bound", "--out", out)
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	bound := client(t, out)
	if _, err := bound.CoordinationV1().Leases("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("without any rights: %v", err)
	}
	if err := admin.CoreV1().Pods("default").Delete(ctx, "bound", *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	// The server remembers a good token for 10 s.
	within(t, "the token to end with its Pod", func() bool {
		_, err := bound.CoordinationV1().Leases("default").List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err)
	})
}

func makePod(ctx context.Context, t *testing.T, admin kubernetes.Interface, name, serviceAccount string) *corev1.Pod {
	t.Helper()
	pod, err := admin.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: serviceAccount, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// served is one running `serve` and the lines it says.
type served struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
}

func serve(t *testing.T, args ...string) *served {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "plane")
	cmd := program(append([]string{"serve", "--dir", dir, "--rm"}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, dir: dir, cmd: cmd, stdin: stdin, lines: make(chan string, 16)}
	go func() {
		defer close(s.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails if the test has waited for its end
		_ = cmd.Wait()
	})
	return s
}

// next is the next event, which must be of the given kind.
func (s *served) next(kind string) map[string]any {
	s.t.Helper()
	select {
	case line, open := <-s.lines:
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil || event["event"] != kind {
			s.t.Fatalf("said %q (open: %v), want the event %s", line, open, kind)
		}
		return event
	case <-time.After(2 * patience):
		s.t.Fatalf("no event %s", kind)
		return nil
	}
}

func (s *served) say(command string) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.stdin, command); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) command(command string) map[string]any {
	s.t.Helper()
	s.say(command)
	return s.next("done")
}

func (s *served) wait(code int) {
	s.t.Helper()
	_ = s.cmd.Wait() // the code tells
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("exit code %d, want %d", got, code)
	}
}

// children are the processes whose parent is s.
func (s *served) children() []int {
	s.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		s.t.Fatal(err)
	}
	var children []int
	for _, stat := range stats {
		content, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state parent ...; the name may hold anything.
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(s.cmd.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				s.t.Fatal(err)
			}
			children = append(children, pid)
		}
	}
	return children
}

func expectGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		within(t, fmt.Sprintf("process %d to be gone", pid), func() bool {
			if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return true
			}
			// An orphan waits as a zombie for whoever inherited it.
			content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return err != nil || strings.Contains(string(content), ") Z ")
		})
	}
}

func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), playProgram+"=1")
	return cmd
}

func client(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
