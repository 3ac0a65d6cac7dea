// tenure sidecar nightly & go run examples/sidecar/leader.go
// Before each step it asks whether it leads.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	url := cmp.Or(os.Getenv("TENURE_SIDECAR"), "http://127.0.0.1:4040") + "/leader"
	client := http.Client{Timeout: time.Second}
	for ; ; time.Sleep(time.Second) {
		asked := time.Now() // What is answered counts from here, however long the answer takes.
		answer, err := client.Get(url)
		if err != nil {
			continue // No answer: nobody knows.
		}
		var said struct {
			Token string `json:"token"`
			Valid int64  `json:"valid_for_ms"`
		}
		err = json.NewDecoder(answer.Body).Decode(&said)
		answer.Body.Close()
		until := asked.Add(time.Duration(said.Valid) * time.Millisecond)
		if err == nil && answer.StatusCode == 200 && time.Now().Before(until) {
			fmt.Println("working with token", said.Token) // Over by then; send the token along.
		}
	}
}
