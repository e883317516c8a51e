package capture

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quotewire/quotewire/feeds"
)

var _ feeds.Source = (*Source)(nil)

// file writes a capture of the frames and returns its path.
func file(t testing.TB, name string, frames []feeds.Frame, flush func(int) bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, encode(t, frames, flush), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// at makes frames with the given receive times in ms, named by feed and number.
func at(feed string, ms ...int64) (frames []feeds.Frame) {
	for i, m := range ms {
		frames = append(frames, feeds.Frame{Feed: feed, Received: 1783465157e9 + m*1e6, Payload: []byte{feed[0], byte('0' + i)}})
	}
	return frames
}

// replay runs s and returns the payloads and when they came.
func replay(ctx context.Context, s *Source) (names string, when []time.Duration, err error) {
	start := time.Now()
	var all []string
	err = s.Run(ctx, func(f feeds.Frame) error {
		all = append(all, string(f.Payload))
		when = append(when, time.Since(start))
		return nil
	})
	return strings.Join(all, " "), when, err
}

func ms(n ...int64) (d []time.Duration) {
	for _, n := range n {
		d = append(d, time.Duration(n)*time.Millisecond)
	}
	return d
}

func TestSourcePace(t *testing.T) {
	hour := int64(3_600_000)
	tests := []struct {
		name  string
		times []int64
		speed float64
		gap   time.Duration
		want  []time.Duration
	}{
		{"1x", []int64{0, 100, 100, 350}, 1, 0, ms(0, 100, 100, 350)},
		{"10x", []int64{0, 100, 100, 350}, 10, 0, ms(0, 10, 10, 35)},
		{"half", []int64{0, 100, 350}, 0.5, 0, ms(0, 200, 700)},
		{"max", []int64{0, 100, hour}, 0, 0, ms(0, 0, 0)},
		{"a little back", []int64{0, 100, 90, 110}, 1, 0, ms(0, 100, 100, 110)},
		{"clock set forward", []int64{0, 100, hour, hour + 10}, 1, 0, ms(0, 100, 60_100, 60_110)},
		{"clock set forward, 10x", []int64{0, hour, hour + 10}, 10, 0, ms(0, 6000, 6001)},
		{"clock set back", []int64{hour, hour + 100, 0, 50}, 1, 0, ms(0, 100, 100, 150)},
		{"own bound", []int64{0, 5000, 5010}, 1, 2 * time.Second, ms(0, 2000, 2010)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "a.qwc", at("a", tt.times...), everyThird)
			synctest.Test(t, func(t *testing.T) {
				_, when, err := replay(t.Context(), &Source{Files: []string{path}, Speed: tt.speed, MaxGap: tt.gap})
				if err != nil || !slices.Equal(when, tt.want) {
					t.Errorf("frames at %v (error %v), want %v", when, err, tt.want)
				}
			})
		})
	}
	t.Run("extreme times", func(t *testing.T) {
		frames := at("a", 0, 0, 0)
		frames[0].Received, frames[1].Received = -1<<63, 1<<63-1
		path := file(t, "a.qwc", frames, nil)
		synctest.Test(t, func(t *testing.T) {
			_, when, err := replay(t.Context(), &Source{Files: []string{path}, Speed: 1})
			if want := ms(0, 60_000, 60_000); err != nil || !slices.Equal(when, want) {
				t.Errorf("frames at %v (error %v), want %v", when, err, want)
			}
		})
	})
}

func TestSourceCatchesUp(t *testing.T) {
	path := file(t, "a.qwc", at("a", 0, 100, 200, 300), nil)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var when []time.Duration
		s := &Source{Files: []string{path}, Speed: 1}
		err := s.Run(t.Context(), func(feeds.Frame) error {
			when = append(when, time.Since(start))
			if len(when) == 1 {
				time.Sleep(250 * time.Millisecond) // a consumer that is held up
			}
			return nil
		})
		if want := ms(0, 250, 250, 300); err != nil || !slices.Equal(when, want) {
			t.Errorf("frames at %v (error %v), want %v", when, err, want)
		}
	})
}

func TestSourceStops(t *testing.T) {
	path := file(t, "a.qwc", at("a", 0, 50_000), nil)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		names, _, err := replay(ctx, &Source{Files: []string{path}, Speed: 1})
		if names != "a0" || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%q, %v after %v", names, err, time.Since(start))
		}
		cancel()
		if names, _, err = replay(ctx, &Source{Files: []string{path}}); names != "" || err == nil {
			t.Errorf("with an ended context: %q, %v", names, err)
		}
	})
	want := errors.New("full")
	err := (&Source{Files: []string{path}}).Run(t.Context(), func(feeds.Frame) error { return want })
	if err != want {
		t.Errorf("error of emit came back as %v", err)
	}
}

func TestSourceMerges(t *testing.T) {
	a := file(t, "a.qwc", at("a", 0, 20, 20, 10, 40), everyThird)
	b := file(t, "b.qwc", at("b", 10, 20, 30), nil)
	c := file(t, "c.qwc", nil, nil)
	for _, tt := range []struct {
		files []string
		want  string
	}{
		{[]string{a, b, c}, "a0 b0 a1 a2 a3 b1 b2 a4"},
		{[]string{c, b, a}, "a0 b0 b1 a1 a2 a3 b2 a4"},
	} {
		var done, total int64
		calls := 0
		names, _, err := replay(t.Context(), &Source{Files: tt.files, OnProgress: func(d, n int64) {
			if d < done {
				t.Errorf("progress went from %d to %d", done, d)
			}
			done, total, calls = d, n, calls+1
		}})
		if err != nil || names != tt.want {
			t.Errorf("%q, %v; want %q", names, err, tt.want)
		}
		if done != total || total == 0 || calls < 3 {
			t.Errorf("progress ended at %d of %d after %d calls", done, total, calls)
		}
	}
}

// TestSourceTogether: files made one after the other run side by side, and end
// with the first that ends.
func TestSourceTogether(t *testing.T) {
	a, b := file(t, "a", at("a", 1000, 1010, 1020), nil), file(t, "b", at("b", 5000, 5005, 5012, 5030, 5040), nil)
	var times []int64
	s := &Source{Files: []string{a, b}, Together: true}
	var names []string
	err := s.Run(t.Context(), func(f feeds.Frame) error {
		names = append(names, string(f.Payload))
		times = append(times, (f.Received-1783465157e9)/1e6)
		return nil
	})
	if got := strings.Join(names, " "); err != nil || got != "a0 b0 b1 a1 b2 a2" {
		t.Errorf("%s, %v", got, err)
	}
	if want := []int64{1000, 1000, 1005, 1010, 1012, 1020}; !slices.Equal(times, want) {
		t.Errorf("times %v, want %v", times, want)
	}
}

func TestSourceDamage(t *testing.T) {
	frames := at("a", 0, 1, 2, 3, 4, 5, 6, 7, 8)
	path := file(t, "a.qwc", frames, everyThird)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[places(t, b)[1]+headSize+3] ^= 1
	b = b[:len(b)-1]
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}

	names, _, err := replay(t.Context(), &Source{Files: []string{path}})
	var c *CorruptError
	if names != "a0 a1 a2" || !errors.As(err, &c) || !strings.Contains(err.Error(), path) {
		t.Errorf("without OnDamage: %q, %v", names, err)
	}

	var told []error
	var got []feeds.Frame
	s := &Source{Files: []string{path}, Speed: 1, OnDamage: func(file string, err error) error {
		if file != path {
			t.Errorf("damage of %s", file)
		}
		told = append(told, err)
		return nil
	}}
	if err := s.Run(t.Context(), func(f feeds.Frame) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	lost := feeds.Frame{Kind: feeds.Lost, Feed: "a", Received: frames[2].Received, Payload: []byte("3")}
	want := slices.Concat(frames[:3], []feeds.Frame{lost}, frames[6:])
	if len(got) != len(want) || got[3].Kind != feeds.Lost || got[3].Received != lost.Received || got[4].Received != want[4].Received {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(told) != 2 || !errors.As(told[0], &c) || !errors.Is(told[1], ErrTruncated) {
		t.Errorf("told of %v", told)
	}

	stop := errors.New("stop")
	if names, _, err = replay(t.Context(), &Source{Files: []string{path}, OnDamage: func(string, error) error { return stop }}); names != "a0 a1 a2" || !errors.Is(err, stop) {
		t.Errorf("with OnDamage that stops: %q, %v", names, err)
	}
}

func TestSourceRefuses(t *testing.T) {
	for name, s := range map[string]*Source{
		"no file":  {},
		"missing":  {Files: []string{filepath.Join(t.TempDir(), "none.qwc")}},
		"negative": {Files: []string{"x"}, Speed: -1},
	} {
		if err := s.Run(t.Context(), func(feeds.Frame) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
