package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
)

// What a client does about datagrams that are lost.
const (
	patience = time.Second // for an echo, before the datagram is sent again
	attempts = 10          // to get one
)

const (
	// spareFiles is what a process needs beside the sockets of the clients.
	spareFiles = 32
	// unknown stands for a number of files that has no limit, or none that can be found out.
	unknown = 1 << 20
)

// clients are all of them, each a connection with a socket and a goroutine that reads it.
type clients struct {
	task
	cfg   *dtls.Config
	conns []*dtls.Conn
	again atomic.Int64 // datagrams that were sent again
}

// runClients takes its task from in, and says on out how far it has come: "ready", with
// the number of files that it may have open, "connected", and "done" with the number of
// datagrams that were sent again.
func runClients(in io.Reader, out io.Writer) error {
	fmt.Fprintln(out, "ready", raiseFileLimit())
	input := json.NewDecoder(in)
	c := &clients{}
	if err := input.Decode(&c.task); err != nil {
		return err
	}
	goOn := make(chan struct{})
	go func() {
		var words string
		if input.Decode(&words) == nil {
			close(goOn)
			_ = input.Decode(&words)
		}
		os.Exit(1) // the end of the input is the end of the server
	}()
	if err := c.configure(); err != nil {
		return err
	}
	c.conns = make([]*dtls.Conn, c.Peers)
	if err := c.each(c.connect); err != nil {
		return err
	}
	fmt.Fprintln(out, "connected", c.Peers)
	<-goOn
	for round := 1; round <= c.Rounds; round++ {
		err := c.each(func(i int) error {
			err := c.echo(i, round)
			if err == nil && round == c.Rounds {
				// One at a time for each goroutine, and an echo before each: a flood of
				// close_notify would not fit the server's socket.
				err = c.conns[i].Close()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "done", c.again.Load())
	return nil
}

func (c *clients) configure() error {
	if c.Key != nil {
		c.cfg = &dtls.Config{PSK: func(psk *dtls.PSK) error {
			psk.Identity, psk.PreSharedKey = []byte("one of many"), c.Key
			return nil
		}}
		return nil
	}
	c.cfg = &dtls.Config{RootCAs: dtls.NewCertPool()}
	return c.cfg.RootCAs.AppendCertsFromPEM([]byte(c.CA))
}

// each does something for every client, a few of them at a time, and returns the first
// error.
func (c *clients) each(do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make(chan error, c.Parallel)
	for range c.Parallel {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1) - 1; i < int64(c.Peers) && len(failures) == 0; i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					failures <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	close(failures)
	return <-failures // nil if there is none
}

func (c *clients) connect(i int) (err error) {
	if c.conns[i], err = dtls.Dial("udp4", c.Address, c.cfg); err != nil {
		return err
	}
	return c.echo(i, 0)
}

// echo sends a datagram and waits until it comes back.
func (c *clients) echo(i, round int) error {
	conn := c.conns[i]
	text := fmt.Sprintf("client %d, round %d", i, round)
	buf := make([]byte, 100)
	for attempt := range attempts {
		if attempt > 0 {
			c.again.Add(1)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil || string(buf[:n]) == text {
				return err
			}
			// An echo of the round before, which was sent twice.
		}
	}
	return errors.New("no echo")
}
