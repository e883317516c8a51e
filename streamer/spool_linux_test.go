package streamer

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/quotewire/quotewire/streamer/wire"
)

// TestSpool: what several clients are sent of a log arrives as it was added, whether
// they read at once or when the spool has forgotten it long since, and all of it but
// the first client's was copied once.
func TestSpool(t *testing.T) {
	h := NewHub(Config{Directory: newTestDirectory(t)})
	defer h.spool.close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	shared := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		var c chunks
		var frames []*frame
		for i := range rapid.IntRange(100, 400).Draw(t, "frames") {
			msg := bytes.Repeat([]byte{byte('a' + i%26)}, rapid.SampledFrom([]int{100, 229, 900, 3000}).Draw(t, "size"))
			f := &frame{index: uint64(i)}
			c.place(f, f.index, len(msg)+1)
			copy(f.data, append(msg, '\n'))
			frames = append(frames, f)
		}
		step := rapid.IntRange(1, 200)
		same := rapid.SliceOfN(step, 0, 8).Draw(t, "steps")
		pen := &newWriter(h, 0).pen
		var late []func()
		replies := rapid.IntRange(0, 3).Draw(t, "replies")
		for client := range rapid.IntRange(2, 4).Draw(t, "clients") {
			conn, peer := connPair(t, l)
			s := newSession(h, "test", "test")
			s.format = wire.FormatJSON
			sock := &socket{session: s, net: conn, raw: rawConn(conn)}
			got := make(chan []byte)
			read := func() {
				var all []byte
				for {
					_, payload, err := readFrame(peer)
					if err != nil {
						break
					}
					all = append(append(all, payload...), '\n')
				}
				got <- all
			}
			slow := rapid.Bool().Draw(t, "slow")
			if !slow {
				go read()
			}
			next := 0
			var want []byte
			for i, n := range append(same[:len(same):len(same)], step.Draw(t, "step")) {
				pen.begin(sock)
				var err error
				if i < replies { // not all of what it is sent is sent to others
					reply := []byte{byte('A' + client)}
					pen.addMessage(reply)
					want = append(append(want, reply...), '\n')
				}
				for to := min(next+n, len(frames)); next < to && err == nil; {
					last := next
					for last+1 < to && frames[last+1].chunk == frames[next].chunk {
						last++
					}
					run := frames[next].upTo(frames[last])
					if err = pen.room(len(run)); err == nil || err == errYield {
						pen.add(run, last-next+1)
						want = append(want, run...)
						next, err = last+1, nil
					}
				}
				if err == nil {
					err = pen.flush()
				}
				if err == errBlocked {
					if slow {
						slow = false // it has to
						go read()
					}
					rest := pen.takeRest()
					_, err = rest.WriteTo(conn)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			_ = conn.(*net.TCPConn).CloseWrite()
			end := func() {
				if slow {
					go read()
				}
				if all := <-got; !bytes.Equal(all, want) {
					t.Errorf("%d bytes arrived of %d, or others", len(all), len(want))
				}
				_, _ = conn.Close(), peer.Close()
			}
			late = append(late, end)
		}
		shared += pen.stats.shared
		if rapid.Bool().Draw(t, "forget") {
			h.spool.close()
		}
		for _, end := range late {
			end()
		}
		if n := memFiles(t); n > maxSpooled {
			t.Errorf("%d files in memory", n)
		}
	})
	if shared == 0 {
		t.Error("nothing was shared")
	}
	h.spool.close()
	if n := memFiles(t); n != 0 {
		t.Errorf("%d files in memory are left", n)
	}
}

// TestSpoolForgetsWhatIsHeld: a frame that is forgotten while it is being sent is
// there until it is sent.
func TestSpoolForgetsWhatIsHeld(t *testing.T) {
	var s spool
	frame := func(c byte) [][]byte { return [][]byte{bytes.Repeat([]byte{c}, spoolSize)} }
	want := func(n int) {
		t.Helper()
		if got := memFiles(t); got != n {
			t.Fatalf("%d files in memory, want %d", got, n)
		}
	}
	first := frame('x')
	if s.hold(first, first, spoolSize) != nil {
		t.Fatal("what one client wants is held")
	}
	a, b := s.hold(first, first, spoolSize), s.hold(first, first, spoolSize)
	if a == nil || a != b {
		t.Fatalf("%v and %v are held", a, b)
	}
	want(1)
	for i := range maxSpooled {
		other := frame(byte(i))
		s.hold(other, other, spoolSize)
	}
	s.release(a)
	want(1)
	got := make([]byte, spoolSize+1)
	if n, err := unix.Pread(b.file.fd, got, 0); err != nil || !bytes.Equal(got[:n], first[0]) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	s.release(b)
	want(0)
	if s.hold(first, first, spoolSize) != nil {
		t.Error("it was not forgotten")
	}
	if len(s.frames) > maxSpooled {
		t.Errorf("%d frames are remembered", len(s.frames))
	}
}

// TestNoSendfile: where the kernel does not send what it holds, it is written.
func TestNoSendfile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, peer := connPair(t, l)
	defer func() { _, _ = conn.Close(), peer.Close() }()
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0) // none sends from a folder
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, parts := range [][][]byte{{[]byte("abc")}, {[]byte("ab"), []byte("c")}} {
		var a attempt
		a.init()
		n, sent, err := a.write(rawConn(conn), parts, &spooled{file: &memFile{fd}})
		if n != 3 || sent || err != nil {
			t.Fatalf("%d bytes, sent %v, %v", n, sent, err)
		}
		var got [3]byte
		if _, err := io.ReadFull(peer, got[:]); err != nil || string(got[:]) != "abc" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// memFiles counts the process's files in memory.
func memFiles(t interface{ Fatal(...any) }) (n int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "/memfd:quotewire") {
			n++
		}
	}
	return n
}

// connPair returns both ends of a connection.
func connPair(t interface{ Fatal(...any) }, l net.Listener) (conn, peer net.Conn) {
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return conn, peer
}
