package main

import (
	"os"
	"testing"
)

// playProgram makes the tests' binary be the program, so that the end-to-end
// test runs the sources it is built from.
const playProgram = "TENURE_CONTROL_PLANE_PLAY_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(playProgram) != "" {
		os.Exit(run(os.Args))
	}
	os.Exit(m.Run())
}

func TestWithoutACommandItIsAUsageError(t *testing.T) {
	for _, args := range [][]string{{"program"}, {"program", "nonsense"}} {
		if code := run(args); code != 2 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}
