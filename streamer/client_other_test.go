//go:build !linux

package streamer

func benchClient() bool { return false }
