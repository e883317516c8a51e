package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Key is an API key as the server knows it: by the hash of its secret.
type Key struct {
	Name string
	// Hash is [HashKey] of the key.
	Hash string
	// Plan names its rights.
	Plan string
	// Expires is when it ends; zero is never.
	Expires time.Time
}

// keyPrefix marks our keys, so that scanners find those that leaked.
const keyPrefix = "qw_"

// hashPrefix names the hash. Keys are 160 random bits, so a slow hash, which
// guards what people choose, would guard nothing and cost at every connection.
const hashPrefix = "sha256:"

// NewKey returns a new random key and its hash.
func NewKey() (key, hash string) {
	var b [20]byte
	// Never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(b[:])
	key = keyPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	return key, HashKey(key)
}

// HashKey returns what is kept of a key.
func HashKey(key string) string {
	h := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(h[:])
}

// CheckHash reports why a text cannot be a key's hash.
func CheckHash(hash string) error {
	digits, ok := strings.CutPrefix(hash, hashPrefix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != sha256.Size || hash != strings.ToLower(hash) {
		return fmt.Errorf("want %s and 64 hex digits; `quotewire key` makes them", hashPrefix)
	}
	return nil
}
