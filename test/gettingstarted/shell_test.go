// Copyright The Windlass Authors.
// SPDX-License-Identifier: Apache-2.0

package gettingstarted

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// shell is one bash that lives as long as the reader's does: with its variables, functions and jobs.
type shell struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Reader
	mark string // ends the output of some commands
}

// newShell starts a bash in an empty folder.
func newShell(t *testing.T, env ...string) *shell {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	cmd := exec.CommandContext(t.Context(), bash, "--noprofile", "--norc", "-o", "pipefail")
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it left in the background ends with it
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Cancel() // it may be gone
		_ = cmd.Wait()
		_ = read.Close()
	})
	_ = write.Close() // the shell has its own
	s := &shell{t: t, in: in, out: bufio.NewReader(read), mark: "end-" + rand.Text()}
	s.run("set -E; trap '(( first )) || first=$?' ERR")
	return s
}

// run gives what commands print, and the exit code of the first that fails.
func (s *shell) run(commands string) (out string, code int) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, "first=0\n%s\necho %s $first\n", commands, s.mark); err != nil {
		s.t.Fatal(err)
	}
	var said strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, after, ended := strings.Cut(line, s.mark); ended {
			said.WriteString(before)
			if _, err := fmt.Sscan(after, &code); err != nil {
				s.t.Fatal(err)
			}
			return said.String(), code
		}
		said.WriteString(line)
		if err != nil {
			s.t.Fatalf("the shell ended after: %s%s", commands, said.String())
		}
	}
}

// export sets a variable of the shell.
func (s *shell) export(name, value string) {
	s.t.Helper()
	if out, code := s.run(fmt.Sprintf("export %s='%s'", name, value)); code != 0 {
		s.t.Fatalf("set %s: %s", name, out)
	}
}
