package ossldtls_test

import (
	"os"
	"os/exec"
	"path/filepath"
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
	dir := t.TempDir()
	source := filepath.Join(dir, "main.c")
	require.NoError(t, os.WriteFile(source, []byte("#include <openssl/ssl.h>\nint main(void) { return SSL_CTX_new(DTLS_method()) == NULL; }\n"), 0o600))
	link := "gcc -o /dev/null " + source + " -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -Wl,--as-needed $(pkg-config --static --libs libssl libcrypto)"
	if text, err := exec.Command("sh", "-c", link).CombinedOutput(); err != nil {
		t.Skipf("this machine cannot link a C program with libssl.a and what that needs: %s", text)
	}
	program := filepath.Join(dir, "program")
	text, err := exec.Command("go", "test", "-c", "-tags", "openssl_static", "-o", program, "./verifier").CombinedOutput()
	require.NoError(t, err, string(text))
	libs, err := exec.Command("ldd", program).CombinedOutput()
	require.NoError(t, err, string(libs))
	assert.NotContains(t, string(libs), "libssl")
	assert.NotContains(t, string(libs), "libcrypto")
	text, err = exec.Command(program, "-test.run", "Hello").CombinedOutput()
	require.NoError(t, err, string(text))
}
