package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

var theHandler = sync.OnceValue(Handler)

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	theHandler().ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// served lists the paths of all files, as they are on disk.
func served(t *testing.T) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			out = append(out, strings.TrimPrefix(name, "static"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestContentTypes(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"/", "text/html; charset=utf-8"},
		{"/js/app.js", "text/javascript; charset=utf-8"},
		{"/js/theme.js", "text/javascript; charset=utf-8"},
		{"/style.css", "text/css; charset=utf-8"},
		{"/favicon.svg", "image/svg+xml"},
		{"/fonts/inter.woff2", "font/woff2"},
		{"/fonts/OFL.txt", "text/plain; charset=utf-8"},
	} {
		r := get(t, http.MethodGet, test.path, nil)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != test.want {
			t.Errorf("%s: %s %q, want 200 %q", test.path, r.Status, r.Header.Get("Content-Type"), test.want)
		}
		if len(read(t, r)) == 0 {
			t.Errorf("%s: empty", test.path)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	for _, target := range []string{"/", "/js/app.js", "/no-such-file"} {
		h := get(t, http.MethodGet, target, nil).Header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "connect-src 'self' ws: wss:", "object-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: Content-Security-Policy %q lacks %q", target, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q allows something unsafe", target, csp)
		}
		if got := h.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", target, got)
		}
	}
}

func TestRevalidation(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		header := http.Header{"Accept-Encoding": {encoding}}
		first := get(t, http.MethodGet, "/style.css", header)
		tag := first.Header.Get("ETag")
		if tag == "" || first.Header.Get("Cache-Control") != "no-cache" || first.Header.Get("Vary") != "Accept-Encoding" {
			t.Fatalf("encoding %q: headers %v", encoding, first.Header)
		}
		for _, given := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			header.Set("If-None-Match", given)
			r := get(t, http.MethodGet, "/style.css", header)
			if body := read(t, r); r.StatusCode != http.StatusNotModified || len(body) != 0 || r.Header.Get("ETag") != tag {
				t.Errorf("encoding %q, If-None-Match %s: %s with %d bytes, ETag %s", encoding, given, r.Status, len(body), r.Header.Get("ETag"))
			}
		}
		header.Set("If-None-Match", `"other"`)
		if r := get(t, http.MethodGet, "/style.css", header); r.StatusCode != http.StatusOK {
			t.Errorf("encoding %q, another tag: %s", encoding, r.Status)
		}
	}
}

func TestTagsTellContentsAndEncodingsApart(t *testing.T) {
	seen := map[string]string{}
	for _, name := range served(t) {
		if name == "/index.html" {
			name = "/"
		}
		for _, encoding := range []string{"", "gzip"} {
			r := get(t, http.MethodGet, name, http.Header{"Accept-Encoding": {encoding}})
			key := name + r.Header.Get("Content-Encoding")
			if other, ok := seen[r.Header.Get("ETag")]; ok && other != key {
				t.Errorf("%s and %s have one ETag", key, other)
			}
			seen[r.Header.Get("ETag")] = key
		}
	}
}

func TestGzip(t *testing.T) {
	plain := read(t, get(t, http.MethodGet, "/js/app.js", nil))
	for _, test := range []struct {
		accept string
		want   bool
	}{
		{"gzip, deflate, br", true}, {"br;q=1, GZIP;q=0.5", true}, {"*", true},
		{"", false}, {"br", false}, {"gzip;q=0", false}, {"gzip;q=x", false}, {"identity, *;q=0", false},
	} {
		r := get(t, http.MethodGet, "/js/app.js", http.Header{"Accept-Encoding": {test.accept}})
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != test.want {
			t.Errorf("Accept-Encoding %q: compressed %v, want %v", test.accept, got, test.want)
			continue
		}
		body := read(t, r)
		if test.want {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain) {
			t.Errorf("Accept-Encoding %q: another content", test.accept)
		}
	}
	if r := get(t, http.MethodGet, "/fonts/inter.woff2", http.Header{"Accept-Encoding": {"gzip"}}); r.Header.Get("Content-Encoding") != "" {
		t.Error("a font, compressed already, is compressed again")
	}
}

func TestMethodsAndUnknownPaths(t *testing.T) {
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodHead, "/", 200}, {http.MethodPost, "/", 405}, {http.MethodDelete, "/js/app.js", 405},
		{http.MethodGet, "/index.html", 404}, {http.MethodGet, "/nothing", 404}, {http.MethodGet, "/js", 404},
		{http.MethodGet, "/js/", 404}, {http.MethodGet, "/../web.go", 404}, {http.MethodGet, "/static/style.css", 404},
	} {
		r := get(t, test.method, test.path, nil)
		if r.StatusCode != test.want {
			t.Errorf("%s %s: %s, want %d", test.method, test.path, r.Status, test.want)
		}
		if test.method == http.MethodHead && (len(read(t, r)) != 0 || r.ContentLength <= 0) {
			t.Errorf("HEAD: a body, or no length")
		}
	}
}

// references are what makes a browser fetch a file of ours.
var references = map[string]*regexp.Regexp{
	".html": regexp.MustCompile(`(?:href|src)="([^"#]+)"`),
	".css":  regexp.MustCompile(`url\("([^"]+)"\)`),
	".js":   regexp.MustCompile(`(?m)^import .* from '([^']+)'`),
}

func TestEveryReferenceIsServedAndEveryFileReferenced(t *testing.T) {
	files := served(t)
	used := map[string]bool{"/index.html": true, "/fonts/OFL.txt": true} // the licence goes with the font
	for _, name := range files {
		pattern := references[path.Ext(name)]
		if pattern == nil {
			continue
		}
		content, err := fs.ReadFile(static, "static"+name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllSubmatch(content, -1) {
			ref := string(m[1])
			if strings.HasPrefix(ref, "/") || strings.Contains(ref, ":") {
				t.Errorf("%s: %q is not relative: the page could not be mounted under a prefix", name, ref)
				continue
			}
			if strings.HasPrefix(ref, "v1/") {
				continue // the server's
			}
			target := path.Join(path.Dir(name), ref)
			used[target] = true
			if !slices.Contains(files, target) {
				t.Errorf("%s: %q is not there", name, ref)
			}
		}
	}
	for _, name := range files {
		if !used[name] {
			t.Errorf("%s is embedded and nothing refers to it", name)
		}
	}
}

// TestPageKeepsItsPolicy looks for what the policy would make the browser refuse.
func TestPageKeepsItsPolicy(t *testing.T) {
	page, err := fs.ReadFile(static, "static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`<style`, ` style="`, `<script>`, `javascript:`} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("index.html contains %s", bad)
		}
	}
	if m := regexp.MustCompile(` on[a-z]+="`).Find(page); m != nil {
		t.Errorf("index.html has an inline handler:%s", m)
	}
	for _, name := range served(t) {
		if path.Ext(name) != ".js" {
			continue
		}
		content, err := fs.ReadFile(static, "static"+name)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "parseFloat"} {
			if bytes.Contains(content, []byte(bad)) {
				t.Errorf("%s uses %s", name, bad)
			}
		}
	}
}

func TestLoadRefusesWhatItCannotServe(t *testing.T) {
	index := &fstest.MapFile{Data: []byte("x")}
	for name, fsys := range map[string]fstest.MapFS{
		"no page":      {"static/a.js": index},
		"unknown type": {"static/index.html": index, "static/a.exe": index},
		"no folder":    {},
	} {
		if _, err := load(fsys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
