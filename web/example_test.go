package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/quotewire/quotewire/web"
)

// The dashboard is mounted at the root, beside the protocol's endpoints.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/", web.Handler())

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
