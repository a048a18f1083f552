package ossldtls_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Headers below the floor are refused by the compiler, with words, whatever package
// of the module a program imports.
func TestCompileTimeErrorBelowTheFloor(t *testing.T) {
	for folder, words := range map[string]string{
		"too-old":  "ossldtls needs OpenSSL 1.1.1 or later: the headers found are older",
		"libressl": "LibreSSL and BoringSSL are not supported",
	} {
		headers, err := filepath.Abs(filepath.Join("testdata", folder))
		require.NoError(t, err)
		for _, pkg := range []string{".", "./dtls"} {
			cmd := exec.Command("go", "build", "-o", os.DevNull, pkg)
			cmd.Env = append(os.Environ(), "CGO_CFLAGS=-I"+headers)
			text, err := cmd.CombinedOutput()
			require.Error(t, err, pkg)
			assert.Contains(t, string(text), words, pkg)
		}
	}
}

// With the tag openssl_static a program does not ask for libssl or libcrypto at run time.
func TestStaticLinking(t *testing.T) {
	text, err := exec.Command("gcc", "-print-file-name=libssl.a").Output()
	if err != nil || !filepath.IsAbs(strings.TrimSpace(string(text))) {
		t.Skip("this machine has no libssl.a to link with")
	}
	program := filepath.Join(t.TempDir(), "program")
	text, err = exec.Command("go", "test", "-c", "-tags", "openssl_static", "-o", program, "./verifier").CombinedOutput()
	require.NoError(t, err, string(text))
	libs, err := exec.Command("ldd", program).CombinedOutput()
	require.NoError(t, err, string(libs))
	assert.NotContains(t, string(libs), "libssl")
	assert.NotContains(t, string(libs), "libcrypto")
	text, err = exec.Command(program, "-test.run", "Hello").CombinedOutput()
	require.NoError(t, err, string(text))
}
