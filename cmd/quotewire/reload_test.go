package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
)

// newTokenKey writes the public key of one that signs tokens.
func newTokenKey(t *testing.T, path string) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	write(t, path, text)
	return text
}

// Every file that a config is made of is followed, where the config has it.
func TestFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	newTokenKey(t, at("token.pem"))
	newPair(t, at("cert.pem"), at("key.pem"), 1)
	write(t, at("keys.yaml"), "keys: []\n")
	write(t, at("q.yaml"), strings.Replace(tokensOfAFile, "auth:\n", "auth:\n  keys_file: keys.yaml\n", 1))
	c, err := loadConfig(at("q.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := newCertificate(at("cert.pem"), at("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	r := &reloader{path: at("q.yaml"), config: c, cert: cert}
	if r.changed() {
		t.Error("the first look is a change")
	}
	for _, name := range []string{"q.yaml", "keys.yaml", "token.pem", "cert.pem", "key.pem"} {
		write(t, at(name), name+" is another now")
		if !r.changed() {
			t.Errorf("a change of %s is not seen", name)
		}
		if r.changed() {
			t.Errorf("a change of %s is seen twice", name)
		}
	}
}
