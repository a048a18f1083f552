package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/openssl"
)

// A server alone in its process is this program once more with -role server. It gets its
// task as a line of JSON, then a line for each time that it is to tell how it is, and ends
// with its input.
type task struct {
	Contender string
	Kind      string // by which the two sides prove who they are; empty: ECDSA P-256
	Dir       string // of the identities

	command []string // which server, if it is not this program
	err     error    // why there is none
}

// state is how the server is.
type state struct {
	Address    string
	Resident   int64 // bytes, after a garbage collection
	Goroutines int
	CPU        time.Duration // used so far
	Cookies    uint64        // HelloVerifyRequests sent, if it tells
	Open       int           // connections, if it tells
	Received   uint64        // datagrams of application data, each of which was sent back
	Error      string
}

func runRole(role string, in io.Reader, out io.Writer) error {
	if role != "server" {
		return errors.New("no role is called " + role)
	}
	input, output := json.NewDecoder(in), json.NewEncoder(out)
	var t task
	if err := input.Decode(&t); err != nil {
		return err
	}
	if t.Contender == pagedName {
		if err := openssl.UsePagedHeap(); err != nil {
			return output.Encode(state{Error: err.Error()})
		}
	}
	var received atomic.Uint64
	n, err := t.network()
	var s state
	if err == nil {
		s.Address, _, err = n.listen(func(payload []byte, answer func([]byte)) {
			received.Add(1)
			answer(payload)
		})
	}
	if err != nil {
		return output.Encode(state{Error: err.Error()})
	}
	for {
		s.CPU = cpuTime()
		s.Resident, s.Goroutines, s.Received = resident(), runtime.NumGoroutine(), received.Load()
		if n.counts != nil {
			s.Cookies, s.Open = n.counts()
		}
		if err := output.Encode(s); err != nil {
			return err
		}
		var again string
		if err := input.Decode(&again); err != nil {
			return nil
		}
	}
}

// network returns the contender as a server for many: with this library, by Serve.
func (t task) network() (*network, error) {
	k := byECDSA
	for _, other := range kinds {
		if other.name == t.Kind {
			k = other
		}
	}
	ids, err := loadIdentities(t.Dir)
	if err != nil {
		return nil, err
	}
	switch t.Contender {
	case report.Ours, pagedName:
		return osslServe(ids, k)
	case pionName:
		return pionNetwork(ids, k), nil
	case udpName:
		return plainUDP(), nil
	}
	return nil, errors.New("no contender is called " + t.Contender)
}

// serverTask is a contender's server with the identities of this run.
func serverTask(who string, k kind, ids *identities, qt *qtProgram) task {
	if who == qtName {
		return qt.server(ids, k)
	}
	return task{Contender: who, Kind: k.name, Dir: ids.dir}
}

// server is the other process, as this one sees it.
type server struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *json.Decoder
	start state
}

func startServer(t task) (*server, error) {
	if t.err != nil {
		return nil, t.err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := []string{self, "-role", "server"}
	if t.command != nil {
		command = t.command
	}
	s := &server{cmd: exec.Command(command[0], command[1:]...)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = json.NewDecoder(bufio.NewReader(out))
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(s.in).Encode(t); err != nil {
		s.stop()
		return nil, err
	}
	if s.start, err = s.read(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) read() (st state, err error) {
	if err := s.out.Decode(&st); err != nil {
		return st, fmt.Errorf("the server's process: %w", err)
	}
	if st.Error != "" {
		return st, errors.New(st.Error)
	}
	return st, nil
}

// state asks the server how it is.
func (s *server) state() (state, error) {
	if _, err := io.WriteString(s.in, "\"?\"\n"); err != nil {
		return state{}, err
	}
	return s.read()
}

// stop ends the process, which waits for nobody.
func (s *server) stop() {
	_ = s.in.Close()
	done := time.AfterFunc(5*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	done.Stop()
}
