package openssl

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDatagrams(t *testing.T) {
	var d Datagrams
	assert.Zero(t, d.Len())
	assert.Empty(t, d.Bytes())
	d.Append([]byte("one"))
	d.Append(nil)
	d.Append([]byte("three"))
	assert.Equal(t, 3, d.Len())
	assert.Equal(t, "one", string(d.At(0)))
	assert.Empty(t, d.At(1))
	assert.Equal(t, "three", string(d.At(2)))
	assert.Equal(t, "onethree", string(d.Bytes()))
	var all []string
	for datagram := range d.All() {
		all = append(all, string(datagram))
	}
	assert.Equal(t, []string{"one", "", "three"}, all)
	for first := range d.All() {
		// Appending to a slice that was handed out does not reach the next datagram.
		_ = append(first, 'X')
		break
	}
	assert.Equal(t, "three", string(d.At(2)))
	d.Grow(1000, 10)
	assert.Equal(t, "three", string(d.At(2)))
	d.Reset()
	assert.Zero(t, d.Len())
}
