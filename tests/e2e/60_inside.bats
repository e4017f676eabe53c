# From inside an app: what it must not see, reach or take. Each probe also runs where it must succeed.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	local a
	for a in in-a in-b; do
		app $a
		printf 'secret of %s\n' $a >secret.txt
		commit secret
		git push -q berth HEAD:main 2>&3
	done
	berth config:set in-b LISTEN_ANY=1 >/dev/null
}

# A TCP connection with perl: prints "open", or why not.
connect_to() {
	printf '%s' "perl -MIO::Socket::INET -e 'my \$s = IO::Socket::INET->new(PeerAddr => \"$1\", PeerPort => $2, Timeout => 2);" \
		" print \$s ? \"open\n\" : \"closed: \$@\n\"'"
}

@test "an app is uid 1000 without capabilities, with a filter and no new privileges" {
	inside in-a 'id -u; grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status'
	ok
	has 1000 $'CapEff:\t0000000000000000' $'CapPrm:\t0000000000000000' $'CapBnd:\t0000000000000000' \
		$'CapAmb:\t0000000000000000' $'NoNewPrivs:\t1' $'Seccomp:\t2'
}

has_one_process() { [ "$(app_parents "$1" | wc -l)" = 1 ]; }

@test "an app is an unprivileged user in the host's eyes, and two apps are two users" {
	local a b
	wait_for 10 has_one_process in-b # what it was before its config changed may still end
	a=$(stat -c %u "/proc/$(app_parents in-a)")
	b=$(stat -c %u "/proc/$(app_parents in-b)")
	[ "$a" -ge 100000 ]
	[ "$b" -ge 100000 ]
	[ "$a" -ne "$b" ]
}

@test "an app sees its own processes only" {
	inside in-a 'ls /proc | grep -c "^[0-9]"'
	[ "$output" -lt 20 ]
	inside in-a 'cat /proc/[0-9]*/cmdline | tr "\0" " "'
	has serve.pl
	lacks sshd
	lacks bats
	lacks berth-control
	# The control: the host sees the app's process and much more.
	[ -n "$(app_pids in-a)" ]
	[ "$(ls /proc | grep -c '^[0-9]')" -gt 20 ]
}

@test "an app cannot signal or trace what is not its own" {
	inside in-a "kill -0 $(app_parents in-b)"
	fails
	inside in-a 'kill -0 $$ && echo own'
	ok
	has own
}

@test "an app sees no other app's files and no host file" {
	inside in-a 'cat /app/secret.txt; find / -xdev -name secret.txt 2>/dev/null'
	has 'secret of in-a' /app/secret.txt
	inside in-a 'grep -rl "secret of in-b" / --include=secret.txt -s; ls /var/lib/berth* /run/berth* 2>&1'
	lacks 'in-b'
	has 'No such file'
	printf 'host\n' >"$BERTH_TEST/host-file"
	chmod 644 "$BERTH_TEST/host-file"
	inside in-a "cat $BERTH_TEST/host-file"
	fails
	try cat "$BERTH_TEST/host-file"
	ok
	# The way of a cwd or an open directory out of the root
	inside in-a 'for p in /proc/[0-9]*; do ls $p/root$PWD/../../../../ $p/cwd/../../../../.. 2>/dev/null; done'
	lacks work
	inside in-a 'cat /proc/self/mountinfo'
	has /proc
	lacks 'berth-test'
	inside in-a 'cut -d" " -f5 /proc/self/mountinfo | grep -cx /sys'
	equal 0 "$output"
}

@test "the kernel's switches are masked, read-only or absent" {
	local f
	for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/self/oom_score_adj; do
		case $f in
		*oom*) inside in-a "echo -1000 >$f" ;;
		*) inside in-a "echo x >$f" ;;
		esac
		fails
	done
	inside in-a 'cat /proc/kcore | head -c 1 | wc -c; cat /proc/keys | wc -c; head -c 1 /proc/timer_list | wc -c'
	equal $'0\n0\n0' "$(grep -E '^[0-9]+$' <<<"$output")"
	inside in-a 'ls /sys | wc -l; ls /dev/sd* /dev/vd* /dev/mem /dev/kmsg 2>/dev/null | wc -l'
	has 0
	inside in-a 'echo x >/dev/null && head -c 8 /dev/urandom | wc -c'
	ok
	equal 8 "$output"
}

@test "an app reaches no port of another app and none of the host" {
	local b_address host_port
	inside in-b "perl -e 'open my \$f, \"<\", \"/proc/net/fib_trie\"; my %a; my \$l; while (<\$f>) { \$l = \$1 if /\\|-- ([0-9.]+)/; \$a{\$l} = 1 if /32 host LOCAL/ } print join(\"\n\", grep { !/^127/ } sort keys %a), \"\n\"'"
	b_address=$(head -n 1 <<<"$output")
	[ -n "$b_address" ]
	# The control: from inside itself the app answers there.
	inside in-b "$(connect_to "$b_address" 5000)"
	equal open "$output"
	inside in-a "$(connect_to "$b_address" 5000)"
	has closed
	# The host, by every address of its own: the router's port listens on loopback, sshd too, and one on all addresses.
	host_port=$(free_port)
	/usr/bin/python3 -m http.server "$host_port" --bind 0.0.0.0 --directory "$BATS_TEST_TMPDIR" >/dev/null 2>&1 3>&- &
	local server=$! a
	wait_for 5 curl -s -o /dev/null "http://127.0.0.1:$host_port/"
	for a in $(ip -4 -o addr show | awk '{ sub("/.*", "", $4); print $4 }'); do
		inside in-a "$(connect_to "$a" "$host_port")"
		case $output in
		closed*) ;;
		*)
			kill "$server"
			fail "reached the host at $a"
			;;
		esac
		try curl -s -o /dev/null --max-time 2 "http://$a:$host_port/"
		[ "$status" -eq 0 ] || printf '# the host itself does not answer at %s\n' "$a" >&3
	done
	kill "$server"
	inside in-a "$(connect_to 127.0.0.1 "$BERTH_PORT")"
	has closed
	inside in-a "$(connect_to 169.254.169.254 80)"
	has closed
}

@test "a program over its memory limit is killed, and log and push say out of memory at the limit" {
	app in-memory
	pushed
	berth resource:limit in-memory --memory 64M
	# The control: 30 MB fit.
	inside in-memory "perl -e '\$x = \"x\" x 30_000_000; print length(\$x), \"\n\"'"
	ok
	cat >hungry.pl <<-'END'
		print "eating\n";
		my @x;
		push @x, "x" x 1_000_000 while 1;
	END
	echo 'web: exec perl hungry.pl' >Procfile
	commit hungry
	push
	refuses
	has 'out of memory at 64M' 'v1 is still serving'
	wait_for 10 logged in-memory 'out of memory at 64M'
	serves in-memory 'page 1'
}

@test "a fork bomb ends at the limit of processes and hurts nobody else" {
	app in-pids
	pushed
	berth resource:limit in-pids --pids 40
	inside in-pids "perl -e 'my \$n = 0; while (1) { my \$p = fork; last if !defined \$p; if (!\$p) { sleep 5; exit } \$n++; last if \$n > 500 } print \"\$n\n\"; kill 9, -\$\$'"
	local n
	n=$(grep -E '^[0-9]+$' <<<"$output" | head -n 1)
	[ -n "$n" ]
	[ "$n" -lt 40 ]
	serves in-a 'page 1'
	# The control: without that limit the same program gets further.
	inside in-a "perl -e 'my @k; for (1 .. 60) { my \$p = fork; last if !defined \$p; if (!\$p) { sleep 5; exit } push @k, \$p } print scalar(@k), \"\n\"; kill 9, @k'"
	equal 60 "$(grep -E '^[0-9]+$' <<<"$output" | head -n 1)"
}

@test "processor time is held to the limit" {
	app in-cpu
	pushed
	local burn="perl -MTime::HiRes=time -e 'my \$e = time + 2; 1 while time < \$e; my (\$u) = times; print int(\$u * 100), \"\n\"'"
	berth resource:limit in-cpu --cpu 1.0
	wait_for 10 burns "$burn" 80 # where others leave it one
	local whole=$output
	berth resource:limit in-cpu --cpu 0.2
	inside in-cpu "$burn"
	printf '# in 2 s: %s0 ms at 1.0, %s0 ms at 0.2\n' "$whole" "$output" >&3
	[ "$output" -lt 60 ]
}
burns() { inside in-cpu "$1" && [ "$output" -gt "$2" ]; }

@test "the flood of an app's output does not stop it or others, and the log keeps its budget" {
	app in-flood
	pushed
	inside in-flood 'timeout 2 sh -c "yes 0123456789012345678901234567890123456789 >/proc/1/fd/1" 2>&1; timeout 2 sh -c "yes x > /dev/stdout" | head -c 10; echo done'
	has 'done'
	serves in-flood 'page 1'
	serves in-a 'page 1'
	[ "$(du -sm "$BERTH_STATE/logs" | cut -f1)" -lt 300 ]
}

@test "scratch space ends at its limit" {
	app in-scratch
	pushed
	inside in-scratch 'head -c 20000000 /dev/zero >/tmp/a && rm /tmp/a && echo fits'
	has fits
	inside in-scratch 'head -c 3000000000 /dev/zero >/app/big; ls -l /app/big | wc -l; rm -f /app/big'
	has 'No space left'
	serves in-scratch 'page 1'
}

@test "one app's uid range never meets its layers on disk" {
	# Layers belong to a reserved range that no app runs as, below a folder only root can enter.
	equal 700 "$(stat -c %a "$BERTH_STATE/layers")"
	equal 0 "$(stat -c %u "$BERTH_STATE/layers")"
	equal 700 "$(stat -c %a "$BERTH_STATE/control")"
	local a
	a=$(stat -c %u "/proc/$(app_parents in-a)")
	equal '' "$(find "$BERTH_STATE/layers" -uid "$a" -print -quit)"
}

@test "berth's own programs run as their users, without capabilities" {
	local name want pid
	while read -r name want; do
		for pid in $(pgrep -f "^$BERTH_PREFIX/lib/berth/$name|^$name" || :); do
			tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "BERTH_RUN=$BERTH_RUN" || continue
			equal "$want" "$(ps -o user:32= -p "$pid" | tr -d ' ')"
			grep -q $'^CapEff:\t0000000000000000' "/proc/$pid/status" || fail "$name has capabilities"
			found=1
		done
		[ -n "${found:-}" ] || fail "no process of $name"
		found=
	done <<-END
		berth-control _berth
		berth-logger _berth-log
		berth-router _berth-router
	END
}

@test "a build step is in a sandbox of its own" {
	app in-build c-plain
	sed 's/^\./\t/' >Makefile <<-'END'
		server: server.c
		.@echo "PROBE uid $$(id -u) processes $$(ls /proc | grep -c '^[0-9]') init $$(tr '\0' ' ' </proc/1/cmdline)"
		.@echo "PROBE state $$(ls -d /var/lib/berth* /run/berth* 2>/dev/null | wc -l) caps $$(sed -n 's/^CapEff:.//p' /proc/self/status)"
		.@touch /berth/packs/touched 2>/dev/null && echo "PROBE wrote to the packs" || :
		.$(CC) -O2 -o $@ server.c
	END
	commit probe
	pushed
	has 'PROBE uid 1000' 'caps 0000000000000000' 'PROBE state 0'
	lacks 'wrote to the packs'
	equal 1 "$(grep -cE 'PROBE uid 1000 processes [0-9]{1,2} init berth-init' <<<"$output")"
}

@test "a link in the repository does not lead a volume's mount out of the sandbox" {
	mkdir -p "$BERTH_TEST/target"
	app in-volume
	ln -s "../../../../../../..$BERTH_TEST/target" data
	commit link
	berth apps:create in-volume
	berth volumes:create in-volume-data
	berth volumes:mount in-volume in-volume-data:/app/data
	push
	if [ "$status" -eq 0 ]; then
		inside in-volume 'echo inside >/app/data/file; cat /app/data/file'
		equal inside "$output"
	else
		has data
	fi
	equal '' "$(ls -A "$BERTH_TEST/target")"
	equal 0 "$(grep -c "$BERTH_TEST/target" /proc/self/mountinfo)"
}
