package normalizer

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// addCorpus adds what fuzzing has found so far to reach other code, so that every
// test run walks through it and the next fuzzing begins there. It is kept in
// testdata/corpus, one quoted input a line; make corpus writes it.
func addCorpus(f *testing.F) {
	file, err := os.Open(filepath.Join("testdata", "corpus", f.Name()+".txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return // a target that is new
	}
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		input, err := strconv.Unquote(lines.Text())
		if err != nil {
			f.Fatalf("%s: %q: %v", file.Name(), lines.Text(), err)
		}
		f.Add([]byte(input))
	}
	if err := lines.Err(); err != nil {
		f.Fatal(err)
	}
}
