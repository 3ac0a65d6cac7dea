package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawner starts every child from one thread that lives as long as the
// process: Pdeathsig fires when the thread that forked ends, not the process.
type spawner struct {
	requests chan spawnRequest
}

type spawnRequest struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest)}
	go func() {
		runtime.LockOSThread()
		for request := range s.requests { // never closed, see above
			request.result <- request.cmd.Start()
		}
	}()
	return s
}

// child is this program, started again as one of its servers.
type child struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	// expected is set before we end the child ourselves.
	expected atomic.Bool
	// exited closes once the child is reaped; state is set by then.
	exited chan struct{}
	state  string
}

// start runs `name args...` of this very program, its output appended to
// logDir/name.log.
func (s *spawner) start(logDir, name string, args []string) (*child, error) {
	logPath := filepath.Join(logDir, name+".log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer logFile.Close() // the child has its own copy

	// The link leads to this program even after its file has been replaced.
	cmd := exec.Command("/proc/self/exe", append([]string{name}, args...)...)
	cmd.Stdout = logFile
	cmd.Stderr = logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // a terminal's interrupt is for us; we stop the children
	}
	result := make(chan error)
	s.requests <- spawnRequest{cmd: cmd, result: result}
	if err := <-result; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	c := &child{name: name, logPath: logPath, cmd: cmd, exited: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		c.state = cmd.ProcessState.String()
		if cmd.ProcessState == nil && err != nil {
			c.state = err.Error()
		}
		close(c.exited)
	}()
	return c, nil
}

// whileRunning is ctx, cancelled as well when the child ends; the cause then
// says how it ended.
func (c *child) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.exited:
			cancel(c.endError())
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// endError tells how an ended child ended, with what its log says last.
func (c *child) endError() error {
	return fmt.Errorf("%s ended (%s); its log %s says last: %s", c.name, c.state, c.logPath, lastWords(c.logPath))
}

// terminate asks the child to end and kills it after grace.
func (c *child) terminate(grace time.Duration) {
	c.expected.Store(true)
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-c.exited:
	case <-time.After(grace):
		c.kill()
	}
}

// kill ends the child at once, frozen or not, and waits until it is reaped.
func (c *child) kill() {
	c.expected.Store(true)
	_ = c.cmd.Process.Kill() // fails only if it has ended
	<-c.exited
}

// freeze stops every thread of the child; when it returns, they have stopped.
func (c *child) freeze() error {
	pid := c.cmd.Process.Pid
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freezing %s: %w", c.name, err)
	}
	for {
		// Without WEXITED this never takes the exit state from cmd.Wait.
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for %s to freeze: %w", c.name, err)
		default:
			return nil
		}
	}
}

// thaw lets a frozen child go on.
func (c *child) thaw() error {
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thawing %s: %w", c.name, err)
	}
	return nil
}

// lastWords is the last line of a log that looks like an error, or else the
// last line; it looks at the log's last 8 KiB.
func lastWords(path string) string {
	const tail = 8 << 10
	file, err := os.Open(path)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > tail {
		if _, err := file.Seek(-tail, io.SeekEnd); err != nil {
			return "(" + err.Error() + ")"
		}
	}
	content, err := io.ReadAll(io.LimitReader(file, 2*tail))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	lines := strings.Split(string(bytes.TrimSpace(content)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if isErrorLine(lines[i]) {
			return lines[i]
		}
	}
	return lines[len(lines)-1]
}

// isErrorLine knows klog's error and fatal lines (E0102, F0102) and cobra's.
func isErrorLine(line string) bool {
	if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "panic: ") {
		return true
	}
	return len(line) > 5 && (line[0] == 'E' || line[0] == 'F') && strings.Trim(line[1:5], "0123456789") == ""
}
