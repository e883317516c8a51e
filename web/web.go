package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var static embed.FS

// policy lets the page load from its own server and open sockets, and nothing
// else: no inline script or style, no other origin's, no framing. Why ws: and
// wss: are there: not every browser takes 'self' to mean them too.
const policy = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; object-src 'none'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// contentTypes are those of the files that the page has. They are named here, and
// not asked of package mime, because that reads the machine's own tables.
var contentTypes = map[string]string{
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

// file is one file, ready to be sent.
type file struct {
	contentType  string
	plain        []byte
	gzipped      []byte // nil where it would not be smaller
	tag, gzipTag string // ETags: a hash of the content, quoted
}

// Handler returns the dashboard, with its page at "/". Answers carry an ETag of
// the content and are to be revalidated, so that a new version is seen at once
// and an old one costs a 304. The page reaches the protocol's endpoints relative
// to its own address: mount it beside them, under a common prefix if at all. It
// is safe for concurrent use.
func Handler() http.Handler {
	files, err := load(static)
	if err != nil {
		panic(err) // the files are in the binary: it was built wrong
	}
	return handler(files)
}

// load reads all files below static, by the path that they are served at.
func load(fsys fs.FS) (map[string]*file, error) {
	files := make(map[string]*file)
	err := fs.WalkDir(fsys, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := newFile(name, content)
		if err != nil {
			return err
		}
		files[strings.TrimPrefix(name, "static")] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load dashboard: %w", err)
	}
	files["/"] = files["/index.html"]
	if files["/"] == nil {
		return nil, fmt.Errorf("load dashboard: no index.html")
	}
	delete(files, "/index.html") // one address for one page
	return files, nil
}

func newFile(name string, content []byte) (*file, error) {
	contentType, ok := contentTypes[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("%s: no content type is known for its extension", name)
	}
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:16])
	f := &file{contentType: contentType, plain: content, tag: `"` + hash + `"`, gzipTag: `"` + hash + `-gzip"`}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(content)*9/10 {
		f.gzipped = b.Bytes()
	}
	return f, nil
}

func handler(files map[string]*file) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f := files[r.URL.Path]
		if f == nil {
			http.NotFound(w, r)
			return
		}
		body, tag := f.plain, f.tag
		if f.gzipped != nil {
			h.Set("Vary", "Accept-Encoding")
			if acceptsGzip(r.Header.Values("Accept-Encoding")) {
				body, tag = f.gzipped, f.gzipTag
				h.Set("Content-Encoding", "gzip")
			}
		}
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		if matches(r.Header.Values("If-None-Match"), tag) {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", f.contentType)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // a client that went away needs no page
		}
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3). A weight of zero
// means not acceptable.
func acceptsGzip(values []string) bool {
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		q, weighted := strings.CutPrefix(strings.TrimSpace(params), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !weighted || err == nil && weight > 0
	}
	return false
}

// matches reads If-None-Match (RFC 9110, section 13.1.2), which compares weakly.
func matches(values []string, tag string) bool {
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		item = strings.TrimSpace(item)
		if item == "*" || strings.TrimPrefix(item, "W/") == tag {
			return true
		}
	}
	return false
}
