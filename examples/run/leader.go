// go build -o leader examples/run/leader.go && tenure run nightly -- ./leader
// This runs only while it leads; SIGTERM asks it to end, and SIGKILL follows.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	fmt.Println("leading in term", os.Getenv("TENURE_TERM"), "of", os.Getenv("TENURE_LOCK"), "as", os.Getenv("TENURE_IDENTITY"))
	for {
		// Send the token along with what you write: a store that refuses older ones is safe
		// from a leader that does not know yet that it is none.
		fmt.Println("working with token", os.Getenv("TENURE_TOKEN"))
		select {
		case <-ends:
			fmt.Println("leaving")
			return
		case <-time.After(time.Second):
		}
	}
}
