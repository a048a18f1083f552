package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/openssl"
)

// environment says what this run is made on.
func environment(command string) report.Env {
	_, version := openssl.RuntimeVersion()
	env := report.Env{
		CPU: fileField("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: fileField("/proc/meminfo", "MemTotal"),
		OS: runtime.GOOS, Kernel: output("uname", "-sr"), Go: runtime.Version(), OpenSSL: version, Pion: "unknown",
		Command: command, Commit: output("git", "describe", "--always", "--dirty", "--exclude=*"),
		Date: time.Now().UTC().Format(time.RFC3339), Missing: map[string]string{},
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		env.Load, _, _ = strings.Cut(string(text), " ")
	}
	env.Machine = fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, env.Cores, env.Memory)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/pion/dtls/v3" {
				env.Pion = dep.Version
			}
		}
	}
	return env
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// fileField returns what follows "name:" in a file of /proc.
func fileField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
