package polygon

import (
	"bytes"
	"encoding/json"
)

// status is one status message of the server.
type status struct {
	Ev      string `json:"ev"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// statuses returns the status messages in a frame; a frame may mix them with
// data. For a frame of data alone it costs one scan of the bytes.
func statuses(frame []byte) []status {
	if !bytes.Contains(frame, []byte(`"status"`)) {
		return nil
	}
	var all []status
	if json.Unmarshal(frame, &all) != nil {
		return nil // the decoder refuses the frame, with a better word
	}
	kept := all[:0]
	for _, s := range all {
		if s.Ev == "status" {
			kept = append(kept, s)
		}
	}
	return kept
}

// isSignedIn reports whether s says that our key was accepted. Servers of 2019
// said "success" with the message "authenticated".
func (s status) isSignedIn() bool {
	return s.Status == "auth_success" || s.Status == "success" && s.Message == "authenticated"
}
