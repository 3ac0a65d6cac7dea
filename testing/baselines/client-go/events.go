package main

import (
	"encoding/json"
	"io"
	"sync"
)

// event has the fields of `tenure campaign --json`. A Lease that client-go holds has no fencing
// token, so there is never one.
type event struct {
	Event    string  `json:"event"`
	UnixNs   int64   `json:"unix_ns"`
	Identity string  `json:"identity"`
	Holder   *string `json:"holder"`
	Term     *int64  `json:"term"`
	Token    *string `json:"token"`
	Reason   *string `json:"reason"`
}

// events are written one at a time, a line each.
type events struct {
	mu  sync.Mutex
	out io.Writer
}

func newEvents(out io.Writer) *events { return &events{out: out} }

func (e *events) say(one event) {
	line, err := json.Marshal(one)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// Whoever reads may be gone; the lock is released all the same.
	_, _ = e.out.Write(append(line, '\n'))
}
