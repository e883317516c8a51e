package streamer

import (
	"fmt"
	"os"
)

// benchClient runs the clients of a benchmark if this process is to be them.
func benchClient() bool {
	spec := os.Getenv(clientEnv)
	if spec == "" {
		return false
	}
	if err := runClient(spec); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
	return true
}
