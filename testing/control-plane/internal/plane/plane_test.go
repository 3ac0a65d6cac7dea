package plane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAReservedPortRefusesClientsAndLetsTheServerIn(t *testing.T) {
	reserved, err := reserve(0)
	if err != nil {
		t.Fatal(err)
	}
	defer reserved.close()
	address := fmt.Sprintf("127.0.0.1:%d", reserved.port)

	if conn, err := net.Dial("tcp4", address); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("dialling a port that is only reserved: %v", err)
	}
	if other, err := reserve(reserved.port); err == nil {
		other.close()
		t.Error("the port was reserved twice")
	}
	// As kube-apiserver listens with --permit-port-sharing.
	sharing := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
		return errors.Join(err, failed)
	}}
	for range 2 {
		server, err := sharing.Listen(context.Background(), "tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		server.Close()
	}
}

func TestAFolderWithSomethingInItIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := makeEmpty(filepath.Join(dir, "new", "folder")); err != nil {
		t.Error(err)
	}
	if err := makeEmpty(filepath.Join(dir, "new", "folder")); err != nil {
		t.Error(err)
	}
	if err := makeEmpty(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("error %v", err)
	}
	var out bytes.Buffer
	code := Serve([]string{"--dir", dir, "--rm", "--no-stdin"}, nil, &out, io.Discard)
	if code != 1 || !strings.HasPrefix(out.String(), `{"event":"failed",`) {
		t.Errorf("code %d, said %s", code, &out)
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err != nil {
		t.Errorf("a folder that was not ours is gone: %v", err)
	}
}

func TestCommandsArriveInOrderAndTheEndDoesNotWait(t *testing.T) {
	for ending, want := range map[string]error{"": errEndOfInput, "quit\nignored\n": errQuit} {
		ctx, cancel := context.WithCancelCause(context.Background())
		input, feed := io.Pipe()
		commands := make(chan string)
		go readCommands(ctx, input, commands, cancel)
		fmt.Fprint(feed, "one\n\n  two \n")
		if first, second := <-commands, <-commands; first != "one" || second != "two" {
			t.Errorf("commands %q, %q", first, second)
		}
		// Nobody takes this one.
		fmt.Fprint(feed, "three\n")
		if ending != "" {
			go fmt.Fprint(feed, ending)
		} else {
			feed.Close()
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); cause != want {
				t.Errorf("ended with %v, want %v", cause, want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("after %q the end was not seen", ending)
		}
	}
}

func TestACommandNobodyKnowsIsAnsweredWithAnError(t *testing.T) {
	p := &plane{}
	for _, command := range []string{"dance", "stop-apiserver", "kill-apiserver", "freeze-apiserver", "thaw-apiserver", "stop-controller-manager", "start-controller-manager"} {
		answer := p.obey(context.Background(), command)
		if answer.Event != "error" || answer.Command != command || answer.Error == "" {
			t.Errorf("%s with nothing running: %+v", command, answer)
		}
	}
}

func TestEventsAreOneLineEach(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{out: &out}
	zero := int64(0)
	for _, e := range []event{
		{Event: "done", Command: "stop-apiserver", MS: &zero},
		{Event: "failed", Error: "two\nlines <&>"},
	} {
		if err := r.report(e); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"event":"done","command":"stop-apiserver","ms":0}` + "\n" +
		`{"event":"failed","error":"two\nlines \u003c\u0026\u003e"}` + "\n"
	if out.String() != want {
		t.Errorf("said %s", &out)
	}
}

func TestALogsLastErrorIsFound(t *testing.T) {
	for log, want := range map[string]string{
		"": "",
		"I0102 start\nE0102 03:04:05 the cause\nI0102 bye\n":                    "E0102 03:04:05 the cause",
		"Error: unknown flag\nusage\n":                                          "Error: unknown flag",
		"I0102 one\nI0102 two\n":                                                "I0102 two",
		strings.Repeat("I0102 filler\n", 2000) + "F0102 the cause\nI0102 bye\n": "F0102 the cause",
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(path); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
}
