# Attacks that were tried by hand once and must go on failing; beside each stands the same thing where it is allowed.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app at-a
	git push -q berth HEAD:main 2>&3
}

as() { # as USER COMMAND…
	local user=$1
	shift
	setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --clear-groups "$@"
}
# The same in the background; $! is the command's own.
as_later() {
	local user=$1
	shift
	setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --clear-groups "$@" &
}

@test "a program starts with stdin, stdout and stderr and no other descriptor" {
	local list='for f in /proc/self/fd/*; do [ ! -e "$f" ] || echo "${f##*/}"; done | tr "\n" " "'
	# The shell's own pattern holds the folder open as 3; it is gone when asked.
	try berth run at-a -- sh -c "$list"
	ok
	equal '0 1 2 ' "$output"
	try berth enter at-a web.1 -- sh -c "$list"
	ok
	equal '0 1 2 ' "$output"
	equal '0 1 2 3 ' "$(ls "/proc/$(app_parents at-a)/fd" | sort -n | tr '\n' ' ')" # 3: its own listener
}

@test "berth-init is closed to the program it runs" {
	local f
	for f in environ maps mem root/etc/passwd cwd/etc/passwd fd/0 auxv; do
		inside at-a "cat /proc/1/$f | head -c 1"
		has 'Permission denied'
	done
	inside at-a 'head -c 1 /proc/self/maps | wc -c; ls /proc/self/root/etc/passwd; ls /proc/self/fd | wc -l'
	has '/proc/self/root/etc/passwd'
	inside at-a 'kill -9 1; sleep 0.1; cat /proc/1/comm'
	equal berth-init "$output"
}

@test "a terminal takes no typed input from the program" {
	try script -qec "berth run at-a -- perl -e 'my \$x = q(x); print q(tty ), (-t STDIN ? 1 : 0), q( typed ), (ioctl(STDIN, 0x5412, \$x) ? 1 : 0), qq(\n)'" /dev/null
	has 'tty 1 typed 0'
}

@test "a volume cannot be put over /proc or /dev by a link, and berthd waits for no app" {
	app at-volume
	ln -s /proc px
	ln -s /dev dx
	commit links
	pushed
	berth volumes:create at-volume >/dev/null 2>&1 || : # it may be left from a kept run
	# The control: a plain place, and the FIFO on which root once waited.
	try berth volumes:mount at-volume at-volume:/data
	ok
	inside at-volume 'rm -rf /data/self; mkdir -p /data/self && mkfifo /data/self/oom_score_adj && echo made'
	equal made "$output"
	berth volumes:unmount at-volume at-volume >/dev/null
	for link in px dx; do
		try timeout 30 berth volumes:mount at-volume "at-volume:/app/$link"
		fails
		has 'leads to'
	done
	try timeout 10 berth run at-a -- echo runs
	equal runs "$output"
	wait_for 30 serves at-volume 'page 1' 2>/dev/null
}

@test "memory files count as the app's memory" {
	app at-shm
	pushed
	berth resource:limit at-shm --memory 64M >/dev/null
	inside at-shm 'head -c 20000000 /dev/zero >/dev/shm/x && ls -l /dev/shm/x && rm /dev/shm/x'
	has 20000000
	inside at-shm 'for i in 1 2 3; do head -c 30000000 /dev/zero >/tmp/$i; head -c 30000000 /dev/zero >/dev/shm/$i; done; echo kept' || :
	lacks kept
	wait_for 10 serves at-shm 'page 1' 2>/dev/null
}

@test "a build has an app's rights, and the host's npm and apt settings stay in builds" {
	app at-build c-plain
	cat >Makefile <<-'END'
		.RECIPEPREFIX = >
		all: server
		> @grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t'
		> @id -u; ls /berth/host; cat /etc/apt/auth.conf /proc/1/environ; :
		> @touch /berth/packs/x || echo packs are read-only
		> @unshare -U true || echo no namespace; mount -t tmpfs none /mnt || echo no mount
		server: server.c
		> cc -O1 -o server server.c
	END
	commit hostile
	push
	ok
	has 'CapEff:0000000000000000' NoNewPrivs:1 Seccomp:2 1000 npmrc 'packs are read-only' 'no namespace' 'no mount' \
		'/etc/apt/auth.conf: No such file' '/proc/1/environ: Permission denied'
	inside at-a 'ls /berth/host /berth/packs; env'
	has BERTH_APP=at-a
	lacks npmrc
	lacks NPM_CONFIG
	lacks APT_CONFIG
}

@test "over ssh there are git, berth's commands and nothing else" {
	local command port
	for command in 'git-receive-pack "at-a;id"' 'git-receive-pack ../../etc' "git-upload-pack 'at-a' --exec=id" \
		'git -c core.fsmonitor=id receive-pack at-a' 'sh -c id' '$(id)' 'scp -t /tmp' '/usr/lib/openssh/sftp-server'; do
		try remote "$command"
		fails
		lacks uid=
	done
	port=$(free_port)
	try ssh -F "$SSH_CONFIG" -W "127.0.0.1:$BERTH_PORT" berth
	fails
	try ssh -F "$SSH_CONFIG" -N -o ExitOnForwardFailure=yes -R "$port:127.0.0.1:1" berth
	fails
	try remote $'apps:list\nKEY 1'
	fails
	try remote apps:list
	ok
	cd "$WORK/at-a"
	for command in refs/berth/releases/99 refs/replace/$(git rev-parse HEAD) refs/hooks/x; do
		push berth "HEAD:$command"
		fails
	done
	push berth HEAD:refs/heads/side
	ok
}

@test "the API is closed to others, to a user without a key, and open to root beside a crowd" {
	cat >"$BERTH_TEST/ask.py" <<-'END'
		import os, resource, socket, sys, time
		n = int(sys.argv[2])
		resource.setrlimit(resource.RLIMIT_NOFILE, (n + 50, max(n + 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
		def ask():
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(5)
		    s.connect(sys.argv[3])
		    try:
		        s.sendall(sys.argv[1].encode() + (request if n == 1 else b""))
		    except BrokenPipeError: # one stranger too many is let go at once
		        pass
		    return s
		request = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
		all = [ask() for _ in range(n)]
		if n > 1:
		    print("held", flush=True)
		    time.sleep(100)
		print(all[0].recv(200).split(b"\r\n")[0].decode())
	END
	chmod 644 "$BERTH_TEST/ask.py"
	local ask=(/usr/bin/python3 "$BERTH_TEST/ask.py") sock=$BERTH_RUN/api.sock held
	equal 'HTTP/1.1 200 OK' "$("${ask[@]}" '' 1 "$sock")"
	equal 'HTTP/1.1 403 Forbidden' "$(as nobody "${ask[@]}" '' 1 "$sock")"
	equal 'HTTP/1.1 400 Bad Request' "$(as nobody "${ask[@]}" $'KEY 1\n' 1 "$sock")"
	equal 'HTTP/1.1 400 Bad Request' "$(as "$BERTH_SSH_USER" "${ask[@]}" '' 1 "$sock")"
	equal 'HTTP/1.1 403 Forbidden' "$(as "$BERTH_SSH_USER" "${ask[@]}" $'KEY 4000000\n' 1 "$sock")"
	equal 'HTTP/1.1 403 Forbidden' "$(as "$BERTH_SSH_USER" "${ask[@]}" $'KEY 1 x\n' 1 "$sock")"
	as_later nobody "${ask[@]}" '' 800 "$sock" >"$BERTH_TEST/held" 2>&1 3>&-
	held=$!
	wait_for 10 grep -q held "$BERTH_TEST/held"
	try timeout 20 berth apps:list
	kill "$held"
	ok
	wait_for 10 not_running "$held"
	# nor can a member, who is told
	berth members:add at-hog "$(ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/hog" && echo "$BATS_TEST_TMPDIR/hog.pub")" >/dev/null
	local key
	key="KEY $(sqlite3 "$BERTH_STATE/control/berth.db" 'SELECT max(id) FROM ssh_key')"$'\n'
	as_later "$BERTH_SSH_USER" "${ask[@]}" "$key" 100 "$sock" >"$BERTH_TEST/held" 2>&1 3>&-
	held=$!
	wait_for 10 grep -q held "$BERTH_TEST/held"
	try as "$BERTH_SSH_USER" "${ask[@]}" "$key" 1 "$sock"
	equal 'HTTP/1.1 403 Forbidden' "$output"
	try remote apps:list
	ok
	as_later "$BERTH_SSH_USER" "${ask[@]}" "$key" 300 "$sock" >"$BERTH_TEST/held2" 2>&1 3>&-
	local more=$!
	wait_for 10 grep -q held "$BERTH_TEST/held2"
	try timeout 20 berth apps:list
	kill "$held" "$more"
	ok
	wait_for 10 not_running "$held"
	wait_for 10 not_running "$more"
	berth members:remove at-hog >/dev/null
	rm -f "$BERTH_TEST/held2"
}

@test "a control that was taken over gets nothing out of berthd but refusals" {
	local worker control before
	worker=$(worker_pid)
	[ -n "$worker" ]
	control=$(ps -eo pid,args | awk -v p="$BERTH_PREFIX/lib/berth/berth-control" '$2 == p { print $1 }' | tail -n 1)
	before=$(cksum "$BERTH_STATE/ssh/authorized_keys"; ls "$BERTH_STATE" "$BERTH_STATE/repos" "$BERTH_STATE/control")
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/hostile.py" "$control"
	ok
	[ "$output" -gt 100 ]
	wait_for 10 grep -q 'berth-control: message [0-9]* is refused' "$BERTH_TEST/berthd.log"
	equal "$worker" "$(worker_pid)"
	equal "$before" "$(cksum "$BERTH_STATE/ssh/authorized_keys"; ls "$BERTH_STATE" "$BERTH_STATE/repos" "$BERTH_STATE/control")"
	try timeout 10 berth run at-a -- echo runs
	equal runs "$output"
}
