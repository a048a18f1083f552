package opensslheap

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// owners says what the lines of a source file allocate for. The first that fits counts.
var owners = []struct{ file, owner string }{
	{"crypto/buffer/buffer.c", "handshake messages (init_buf)"},
	{"ssl/record/ssl3_buffer.c", "read and write buffer"},
	{"ssl/record/methods/", "record layers"},
	{"ssl/record/", "records of DTLS"},
	{"ssl/d1_lib.c", "records of DTLS"},
	{"ssl/pqueue.c", "last flight, to send it again"},
	{"ssl/statem/statem_dtls.c", "last flight, to send it again"},
	{"ssl/ssl_lib.c", "SSL"},
	{"ssl/ssl_sess.c", "session"},
	{"ssl/ssl_cert.c", "certificates, verification"},
	{"crypto/x509/", "certificates, verification"},
	{"crypto/asn1/", "certificates, verification"},
	{"crypto/bio/bss_dgram_pair.c", "records between two epochs (dgram_mem)"},
	{"crypto/bio/bf_buff.c", "buffer of a flight (BIO_f_buffer)"},
	{"crypto/bio/", "BIOs"},
	{"providers/", "ciphers and digests"},
	{"crypto/evp/", "ciphers and digests"},
	{"crypto/modes/", "ciphers and digests"},
	{"shim_", "the binding's own"},
}

func (s Site) owner() string {
	for _, o := range owners {
		if strings.HasPrefix(s.File, o.file) {
			return o.owner
		}
	}
	return "the rest"
}

// Row is what one owner holds.
type Row struct {
	Owner string
	Held
}

// ByOwner sums up what is held for each purpose, the most first.
func ByOwner(held map[Site]Held) []Row {
	sums := map[string]Held{}
	for at, h := range held {
		s := sums[at.owner()]
		sums[at.owner()] = Held{s.Blocks + h.Blocks, s.Bytes + h.Bytes, s.Made + h.Made}
	}
	rows := make([]Row, 0, len(sums))
	for owner, h := range maps.All(sums) {
		rows = append(rows, Row{owner, h})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Owner, b.Owner))
	})
	return rows
}

// Table returns the rows for n equal things as a table in Markdown, and the bytes of one
// of them.
func Table(rows []Row, n int) (table string, each int64) {
	var b strings.Builder
	b.WriteString("| owner | bytes | blocks |\n|---|---|---|\n")
	var bytes, blocks int64
	line := func(owner string, bytes, blocks int64) {
		fmt.Fprintf(&b, "| %s | %.0f | %.1f |\n", owner, float64(bytes)/float64(n), float64(blocks)/float64(n))
	}
	for _, r := range rows {
		line(r.Owner, r.Bytes, r.Blocks)
		bytes += r.Bytes
		blocks += r.Blocks
	}
	line("all", bytes, blocks)
	return b.String(), bytes / int64(n)
}
