package openssl

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numberedRecords returns a datagram of count records with 4 bytes of payload each, the
// numbers from first on.
func numberedRecords(t testing.TB, s *SSL, first, count int) []byte {
	t.Helper()
	var wire Datagrams
	for i := range count {
		require.NoError(t, s.Write(binary.BigEndian.AppendUint32(nil, uint32(first+i)), &wire))
	}
	return wire.Bytes()
}

// Of a train every record arrives in its order, whatever is wrong with others, and however
// many there are.
func TestReadTrain(t *testing.T) {
	for _, list := range []string{"ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"} {
		for _, records := range []int{1, 2, 30} {
			t.Run(fmt.Sprintf("%s, %d records each", list, records), func(t *testing.T) {
				client, server := certPair(t, list)
				random := rand.New(rand.NewPCG(1, uint64(records)))
				number := 0
				for range 30 {
					var train []byte
					var want []uint32
					size := 0
					for range 1 + random.IntN(60) {
						datagram := numberedRecords(t, client, number, records)
						size = len(datagram)
						lost := 0
						switch random.IntN(6) {
						case 0: // of its first record nothing is left
							datagram[recordHeaderSize+9]++
							lost = 1
						case 1: // or it is none
							datagram[1] = 0
							lost = 1
						case 2: // longer than the datagram, and nothing behind it is looked at
							binary.BigEndian.PutUint16(datagram[11:], 0xffff)
							lost = records
						}
						for i := lost; i < records; i++ {
							want = append(want, uint32(number+i))
						}
						number += records
						train = append(train, datagram...)
					}
					if random.IntN(2) == 0 && records > 1 { // the last one is shorter
						train = train[:len(train)-size/records]
						if len(want) > 0 && want[len(want)-1] == uint32(number-1) {
							want = want[:len(want)-1]
						}
					}
					var plain, out Datagrams
					require.NoError(t, server.ReadTrain(train, size, &plain, &out))
					var got []uint32
					for p := range plain.All() {
						got = append(got, binary.BigEndian.Uint32(p))
					}
					if !slices.Equal(want, got) {
						require.FailNow(t, "other records", "%d instead of %d", len(got), len(want))
					}
					assert.Zero(t, out.Len())
				}
			})
		}
	}
}

const recordHeaderSize = 13

// What is in a train before close_notify is read, what comes after it is not.
func TestReadTrainUntilTheEnd(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	var wire, plain, out Datagrams
	require.NoError(t, client.Write([]byte{1, 2}, &wire)) // as long as an alert
	require.NoError(t, client.Shutdown(&wire))
	train := slices.Concat(wire.Bytes(), wire.At(0))
	err := server.ReadTrain(train, len(wire.At(0)), &plain, &out)
	require.ErrorIs(t, err, ErrZeroReturn)
	require.Equal(t, 1, plain.Len())
	assert.Equal(t, []byte{1, 2}, plain.At(0))
}

func TestReadTrainRefuses(t *testing.T) {
	_, server := certPair(t, "ECDHE+AESGCM")
	var plain, out Datagrams
	require.ErrorContains(t, server.ReadTrain([]byte("x"), 0, &plain, &out), "no bytes")
	require.NoError(t, server.ReadTrain(nil, 0, &plain, &out))
}

func BenchmarkReadTrain(b *testing.B) {
	for _, size := range []int{64, 1200} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			client, server := certPair(b, "ECDHE-ECDSA-AES128-GCM-SHA256")
			payload := make([]byte, size)
			const count = 50
			var wire, plain, out Datagrams
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%count != 0 {
					continue
				}
				wire.Reset()
				plain.Reset()
				for range count {
					if err := client.Write(payload, &wire); err != nil {
						b.Fatal(err)
					}
				}
				if err := server.ReadTrain(wire.Bytes(), len(wire.At(0)), &plain, &out); err != nil || plain.Len() != count {
					b.Fatal(err, plain.Len())
				}
			}
		})
	}
}
