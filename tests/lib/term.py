#!/usr/bin/python3
"""Drives a command on a terminal: term.py ROWSxCOLS STEP... -- COMMAND...

Steps, in order: ?TEXT waits for it in the output (after the last match), !TEXT types it (\\x escapes), #ROWSxCOLS changes
the window, =N waits N seconds, ^ hangs up. Prints everything the terminal showed; exits with the command's status, 128+N
for signal N, or 99 when a text did not come within 20 s.
"""
import fcntl, os, pty, select, struct, sys, termios, time

PATIENCE = 20


def resize(fd, text):
    rows, cols = map(int, text.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Terminal:
    def __init__(self, size, command):
        self.seen, self.at = b"", 0
        self.master, slave = pty.openpty()
        resize(self.master, size)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(slave, fd)
            os.execvp(command[0], command)
        os.close(slave)

    def read(self, seconds):
        """False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            part = os.read(self.master, 65536)
        except OSError:
            part = b""
        self.seen += part
        return part != b""

    def expect(self, text):
        end, text = time.monotonic() + PATIENCE, text.encode()
        while (found := self.seen.find(text, self.at)) < 0:
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                return False
        self.at = found + len(text)
        return True

    def step(self, step):
        kind, text = step[0], step[1:]
        if kind == "?":
            return self.expect(text)
        if kind == "!":
            os.write(self.master, text.encode().decode("unicode_escape").encode("latin-1"))
        elif kind == "#":
            resize(self.master, text)
        elif kind == "=":
            time.sleep(float(text))
        elif kind == "^":
            os.close(self.master)
            self.master = -1
        return True

    def wait(self):
        end = time.monotonic() + PATIENCE
        while self.master >= 0 and time.monotonic() < end and self.read(end - time.monotonic()):
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(self.pid, 9)
        return 99


def main():
    split = sys.argv.index("--")
    t = Terminal(sys.argv[1], sys.argv[split + 1 :])
    failed = next((s for s in sys.argv[2:split] if not t.step(s)), None)
    if failed:
        os.kill(t.pid, 9)
    code = t.wait()
    sys.stdout.buffer.write(t.seen)
    if failed:
        print(f"\nterm.py: this did not come: {failed[1:]}")
        return 99
    return code if code >= 0 else 128 - code


sys.exit(main())
