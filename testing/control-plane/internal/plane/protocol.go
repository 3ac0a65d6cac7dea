package plane

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// event is one line of standard output: one JSON object. README.md is its
// documentation.
type event struct {
	Event      string `json:"event"`
	Command    string `json:"command,omitempty"`
	Kubeconfig string `json:"kubeconfig,omitempty"`
	Server     string `json:"server,omitempty"`
	AuditLog   string `json:"audit_log,omitempty"`
	ReadyMS    int64  `json:"ready_ms,omitempty"`
	MS         *int64 `json:"ms,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Error      string `json:"error,omitempty"`
}

// reporter writes events, each in one write.
type reporter struct {
	mu  sync.Mutex
	out io.Writer
}

func (r *reporter) report(e event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
