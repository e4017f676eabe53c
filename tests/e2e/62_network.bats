# What apps may reach: rules by name, address and range, live and kept. The rest of the world is a network namespace of
# this file's own behind a veth, with a "public" and a private range of both families; nothing leaves the machine.

PUBLIC=198.51.100.1 PRIVATE=10.97.0.1 PUBLIC6=2001:db8:97::1 PRIVATE6=fd97::1 METADATA=169.254.169.254

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	world_up
	local a
	for a in n-a n-b n-api; do
		app $a
		page_is "page of $a"
		git push -q berth HEAD:main 2>&3
	done
	berth config:set n-api LISTEN_ANY=1 >/dev/null
	for a in n-a n-b n-api; do has_ipv6 $a; done
}

# Namespaces that were ready before the host had IPv6 have none: they are used up.
has_ipv6() {
	local i
	for i in 1 2 3 4 5 6; do
		inside "$1" 'cat /proc/net/if_inet6'
		[[ $output != *eth0* ]] || return 0
		berth ps:restart "$1" >/dev/null
	done
	fail "$1 has no IPv6"
}

teardown_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	berth builds:set --global network '' >/dev/null || :
	while grep -q " $BERTH_TEST/hosts \|hosts /etc/hosts" /proc/self/mountinfo && umount /etc/hosts 2>/dev/null; do :; done
	world_down
}

world_up() {
	WORLD=w${BERTH_ID:0:8}
	export WORLD
	ip netns add "$WORLD"
	ip link add "$WORLD" type veth peer name world netns "$WORLD"
	ip address add 198.51.100.2/24 dev "$WORLD"
	ip address add 10.97.0.2/24 dev "$WORLD"
	ip address add 2001:db8:97::2/64 dev "$WORLD" nodad
	ip address add fd97::2/64 dev "$WORLD" nodad
	ip link set "$WORLD" up
	# Without a route to the IPv6 internet apps get no IPv6: then there is one for as long as this takes.
	ip -6 route get 2000::1 >/dev/null 2>&1 || ip -6 route add 2000::/3 via "$PUBLIC6" dev "$WORLD"
	ip netns exec "$WORLD" sh -ec "
		ip link set lo up; ip link set world up
		for a in $PUBLIC/24 $PRIVATE/24 $METADATA/32; do ip address add \$a dev world; done
		for a in $PUBLIC6/64 $PRIVATE6/64; do ip address add \$a dev world nodad; done"
	cat >"$BERTH_TEST/world.py" <<-'END'
		import os, socket, sys, threading
		def serve(port):
		    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
		    while True:
		        c, peer = s.accept()
		        threading.Thread(target=answer, args=(c, peer[0].removeprefix("::ffff:")), daemon=True).start()
		def answer(c, peer):
		    try:
		        c.sendall(f"world sees {peer}\n".encode())
		        while c.recv(100):
		            c.sendall(b".")
		    except OSError:
		        pass
		for port in map(int, sys.argv[1:] or (80, 443, 5432)):
		    threading.Thread(target=serve, args=(port,), daemon=True).start()
		threading.Event().wait()
	END
	ip netns exec "$WORLD" /usr/bin/python3 "$BERTH_TEST/world.py" >/dev/null 2>&1 3>&- &
	echo $! >"$BERTH_TEST/world.pid"
	wait_for 10 from_host "$PUBLIC" 5432
}

world_down() {
	local pid
	for pid in "$BERTH_TEST"/world*.pid; do
		kill "$(cat "$pid")" 2>/dev/null || :
		rm -f "$pid"
	done
	ip link del "$WORLD" 2>/dev/null || :
	ip netns del "$WORLD" 2>/dev/null || :
}

from_host() { /usr/bin/python3 -c 'import socket, sys; print(socket.create_connection(sys.argv[1:3], 10).recv(100).decode(), end="")' "$@"; }

# reaches APP ADDRESS PORT / refused APP ADDRESS PORT: the host itself gets through in both cases.
reaches() {
	inside "$1" "perl net.pl line $2 $3"
	has 'world sees'
}
refused() {
	from_host "$2" "$3" >/dev/null
	inside "$1" "perl net.pl line $2 $3"
	has closed
}
calls() { # APP NAME TEXT
	inside "$1" "perl net.pl page $2 5000"
	equal "$3" "$output"
}
calls_nobody() {
	inside "$1" "perl net.pl page $2 5000"
	fails
	has closed
}
parents() { app_parents "$1" | sort | tr '\n' ' '; }

@test "the internet is reached by default, as the host; private, metadata and the host's addresses are not" {
	inside n-a "perl net.pl line $PUBLIC 80"
	equal 'world sees 198.51.100.2' "$output"
	refused n-a $PRIVATE 80
	inside n-a "perl net.pl line $METADATA 80"
	has closed
	try berth network:report n-a
	ok
	has 'internet:' allowed 'defaults-private:' deny
	equal allowed "$(berth network:report n-a --internet)"
}

@test "the same by IPv6" {
	inside n-a "perl net.pl line $PUBLIC6 80"
	equal 'world sees 2001:db8:97::2' "$output"
	refused n-a $PRIVATE6 80
	inside n-a "perl net.pl line fd97::2 80"
	has closed
	inside n-a 'cat /proc/net/if_inet6'
	has fd62657274680000
	lacks fe80
}

@test "a range, a port and an address are allowed at once, to this app alone, and taken back" {
	local before
	before=$(parents n-a)
	try berth network:allow n-a 10.97.0.0/24 --port 5432
	ok
	reaches n-a $PRIVATE 5432
	refused n-a $PRIVATE 80
	refused n-b $PRIVATE 5432
	try berth network:allow n-a $PRIVATE6 --port 400-500 --proto tcp
	ok
	reaches n-a $PRIVATE6 443
	refused n-a $PRIVATE6 80
	try berth network:deny n-a $PRIVATE
	ok
	refused n-a $PRIVATE 5432
	try berth network:report n-a --format json
	equal "$PRIVATE6 $PRIVATE 10.97.0.0/24" "$(jq -r '[.rules[].target] | join(" ")' <<<"$output")"
	try berth network:report
	has n-a deny "$PRIVATE"
	try berth network:clear n-a $PRIVATE
	ok
	reaches n-a $PRIVATE 5432
	try berth network:clear n-a
	ok
	refused n-a $PRIVATE 5432
	equal "$before" "$(parents n-a)" # no instance was restarted
}

@test "network:deny internet leaves an app with nothing but what is allowed" {
	try berth network:deny n-a internet
	ok
	refused n-a $PUBLIC 80
	refused n-a $PUBLIC6 80
	equal denied "$(berth network:report n-a --internet)"
	reaches n-b $PUBLIC 80
	try berth network:allow n-a internet --port 443
	ok
	reaches n-a $PUBLIC 443
	refused n-a $PUBLIC 80
	refused n-a $PRIVATE 443
	# one-offs and new instances too
	try berth run n-a -- sh -c "perl net.pl line $PUBLIC 80"
	has closed
	try berth ps:restart n-a
	ok
	refused n-a $PUBLIC 80
	berth network:clear n-a
	reaches n-a $PUBLIC 80
}

@test "a rule that is taken away ends connections that are open" {
	berth network:allow n-a $PRIVATE
	inside n-a "perl net.pl talk $PRIVATE 80"
	wait_for 5 noted n-a talk '^[1-9]'
	inside n-a 'cat /tmp/talk'
	lacks END
	berth network:clear n-a
	wait_for 10 noted n-a talk END
}
noted() { inside "$1" "cat /tmp/$2" && grep -q "$3" <<<"$output"; } # APP FILE PATTERN

# What a build reaches: "TARGET: WORDS" of each, and whether the host's package index was read.
build_looks() {
	commit look
	push -o no-cache berth HEAD:main
	ok
}

@test "builds reach the internet and the host's indexes, nothing else; an owner closes it, or opens more for builds alone" {
	local own port
	port=$(free_port)
	/usr/bin/python3 "$BERTH_TEST/world.py" "$port" >/dev/null 2>&1 3>&- &
	echo $! >"$BERTH_TEST/world-here.pid"
	wait_for 10 from_host 10.97.0.2 "$port"
	inside n-api "perl -e 'open my \$f, \"<\", \"/proc/net/fib_trie\"; my %a; my \$l; while (<\$f>) { \$l = \$1 if /\\|-- ([0-9.]+)/; \$a{\$l} = 1 if /32 host LOCAL/ } print join(\"\n\", grep { !/^127/ } sort keys %a), \"\n\"'"
	own=$(head -n 1 <<<"$output")
	app n-build probe
	rm Procfile
	cat >Dockerfile <<-END
		FROM debian:12
		COPY net.pl serve.pl page.txt /srv/
		ARG index
		RUN for a in "$PUBLIC 80" "$PUBLIC6 80" "$PRIVATE 80" "$PRIVATE6 80" "$METADATA 80" "10.97.0.2 $port" "$own 5000"; do \\
		    echo "\$a: \$(perl /srv/net.pl line \$a)"; done; echo "by name: \$(RES_OPTIONS='timeout:1 attempts:1' perl /srv/net.pl page n-api.internal 5000)"; \\
		    [ -z "\$index" ] || ! apt-get -qq -o APT::Update::Error-Mode=any -o Acquire::Retries=0 update >/dev/null 2>&1 || echo "index read"
		RUN --network=none echo "without: \$(perl /srv/net.pl line $PUBLIC 80)"
		WORKDIR /srv
		CMD ["perl", "serve.pl"]
	END
	commit docker
	build_looks
	has "$PUBLIC 80: world sees 198.51.100.2" "$PUBLIC6 80: world sees 2001:db8:97::2" "$PRIVATE 80: closed" "$PRIVATE6 80: closed" \
		"$METADATA 80: closed" "10.97.0.2 $port: closed" "$own 5000: closed" 'by name: closed' 'without: closed'
	# the same with what was closed opened: it was there
	berth network:allow n-build 10.97.0.0/24 --port 80 --builds >/dev/null
	berth network:allow n-build 10.97.0.2 --port "$port" --builds >/dev/null
	berth network:allow n-build n-api --builds >/dev/null
	berth builds:set n-build build-arg.index yes >/dev/null
	try berth builds:set n-build network registries
	ok
	build_looks
	has "$PUBLIC 80: closed" "$PUBLIC6 80: closed" "$PRIVATE 80: world sees" "$PRIVATE6 80: closed" "10.97.0.2 $port: world sees" \
		"$own 5000: closed" 'by name: page of n-api' 'index read'
	refused n-build $PRIVATE 80 # its instances go by their own rules
	reaches n-build $PUBLIC 80
	try berth network:report n-build
	has registries builds 10.97.0.2
	berth network:clear n-build --builds >/dev/null
	berth builds:set n-build network '' >/dev/null
	berth builds:set --global network none >/dev/null
	berth builds:set n-build build-arg.index '' >/dev/null
	build_looks
	has "$PUBLIC 80: closed" "$PRIVATE 80: closed" "10.97.0.2 $port: closed" 'by name: closed'
	berth builds:set --global network '' >/dev/null
	try berth builds:set n-build network some
	exits 2
	kill "$(cat "$BERTH_TEST/world-here.pid")"
	rm "$BERTH_TEST/world-here.pid"
	berth apps:destroy n-build --force >/dev/null
	equal 0 "$(nft list table inet "berth_$BERTH_ID" | grep -c 'chain build_')"
}

@test "an app calls another by name when it is allowed, also while the other is deployed" {
	calls_nobody n-a n-api.internal
	try berth network:allow n-a n-api --port 5000
	ok
	has n-api.internal
	calls n-a n-api.internal 'page of n-api'
	inside n-a 'getent ahosts n-api.internal'
	has 198.19.2 fd62:6572:7468
	calls_nobody n-b n-api.internal
	# by no other way: not by the instance's own address
	inside n-api "perl -e 'open my \$f, \"<\", \"/proc/net/fib_trie\"; my %a; my \$l; while (<\$f>) { \$l = \$1 if /\\|-- ([0-9.]+)/; \$a{\$l} = 1 if /32 host LOCAL/ } print join(\"\n\", grep { !/^127/ } sort keys %a), \"\n\"'"
	calls_nobody n-a "$(head -n 1 <<<"$output")"
	# three releases while n-a calls all the time
	inside n-a 'perl net.pl calls n-api.internal 5000'
	wait_for 5 noted n-a calls 'good [1-9]'
	cd "$WORK/n-api"
	local i
	for i in 2 3 4; do
		page_is "page $i of n-api"
		pushed
		wait_for 10 calls n-a n-api.internal "page $i of n-api" 2>/dev/null
	done
	inside n-a 'touch /tmp/stop; sleep 0.3; cat /tmp/calls'
	printf '# %s\n' "$output" >&3
	has 'bad 0'
	noted n-a calls 'good [1-9]'
	try berth network:report n-api --callers
	equal n-a "$output"
}

@test "a called app that is scaled, stopped and started is found again" {
	local i
	berth ps:scale n-api web=2 >/dev/null
	local seen=
	for i in $(seq 20); do
		inside n-a 'perl net.pl page n-api.internal 5000 /env'
		seen="$seen $(sed -n 's/^BERTH_INSTANCE=//p' <<<"$output")"
	done
	[[ $seen == *web.1* && $seen == *web.2* ]] || fail "only: $seen"
	berth ps:stop n-api >/dev/null
	calls_nobody n-a n-api.internal
	berth ps:start n-api >/dev/null
	calls n-a n-api.internal 'page 4 of n-api'
	# asleep it answers nobody, and it does not fall asleep by itself
	berth ps:set n-api sleep freeze >/dev/null
	berth ps:set n-api idle-after 1s >/dev/null
	sleep 3
	calls n-a n-api.internal 'page 4 of n-api'
	berth ps:sleep n-api >/dev/null
	calls_nobody n-a n-api.internal
	serves n-api 'page 4 of n-api' # the router wakes it
	wait_for 5 calls n-a n-api.internal 'page 4 of n-api' 2>/dev/null
	berth ps:set n-api idle-after >/dev/null
	berth ps:scale n-api web=1 >/dev/null
	wait_for 20 one_runs n-api
	kill -9 "$(app_parents n-api)"
	wait_for 20 calls n-a n-api.internal 'page 4 of n-api' 2>/dev/null
}

one_runs() { [ "$(app_parents "$1" | wc -l)" = 1 ]; }

@test "another process type has a name of its own" {
	cd "$WORK/n-api"
	printf 'web: exec perl serve.pl\nworker: exec env PORT=6000 perl serve.pl\n' >Procfile
	commit worker
	pushed
	berth ps:scale n-api worker=1 >/dev/null
	berth network:allow n-a app:n-api >/dev/null
	worker_answers() { inside n-a 'perl net.pl page worker.n-api.internal 6000' && equal 'page 4 of n-api' "$output"; }
	wait_for 10 worker_answers
	inside n-a 'perl net.pl page n-api.internal 6000' # web listens elsewhere
	has closed
}

@test "a host name is allowed with the addresses it has, and the app finds it" {
	cp /etc/hosts "$BERTH_TEST/hosts"
	mount --bind "$BERTH_TEST/hosts" /etc/hosts
	printf '%s db.berth-test.example\n%s db.berth-test.example\n' $PRIVATE $PRIVATE6 >>/etc/hosts
	try berth network:allow n-a db.berth-test.example --port 5432
	umount /etc/hosts
	ok
	has db.berth-test.example
	reaches n-a db.berth-test.example 5432
	refused n-a $PRIVATE 80
	refused n-b $PRIVATE 5432
	try berth network:report n-a
	has host:db.berth-test.example "$PRIVATE"
	# without name servers too
	berth network:deny n-a internet >/dev/null
	reaches n-a db.berth-test.example 5432
	berth network:clear n-a internet >/dev/null
	# Where the host's name servers cannot be asked, it might be there.
	try berth network:allow n-a nosuch.berth-test.invalid
	[ "$status" -eq 0 ] || has 'no host of that name'
	berth network:clear n-a nosuch.berth-test.invalid >/dev/null 2>&1 || :
	berth network:clear n-a db.berth-test.example >/dev/null
	inside n-a 'cat /etc/hosts'
	lacks berth-test.example
}

@test "nonsense is refused with what is wrong" {
	local t
	for t in 10.1.2.3/8 10.0.0.0/40 1.2.3 169.254.169.254 127.0.0.1 fe80::1 ::1 198.18.0.7 '*.example.com' app:nosuch nosuch n-b My_App \
		a..b example.com/24 ''; do
		try berth network:allow n-b "$t"
		fails
		[ "$status" -eq 2 ] || [ "$status" -eq 20 ]
	done
	for t in 0 65536 80-79 x 1-2-3; do
		try berth network:allow n-b internet --port "$t"
		exits 2
	done
	try berth network:allow n-b internet --proto icmp
	exits 2
	try berth network:allow n-b
	exits 2
	try berth network:allow nosuch internet
	exits 20
	try berth network:clear n-b 10.0.0.0/8
	exits 1
	try berth network:report n-b --format json
	equal '[]' "$(jq -c .rules <<<"$output")"
	try berth network:allow n-b 169.254.0.0/16
	has 'never for apps'
	try remote network:report n-b --internet
	equal allowed "$output"
}

@test "rules and names hold through the death of each of berth's programs" {
	berth network:clear n-a >/dev/null
	berth network:allow n-a n-api >/dev/null
	berth network:allow n-a $PRIVATE >/dev/null
	berth network:deny n-a internet >/dev/null
	# It tries at every moment; it says so if it ever gets through.
	inside n-a "perl net.pl tries $PUBLIC 80"
	wait_for 5 noted n-a tries '[1-9]'
	local worker control
	worker=$(worker_pid)
	kill -9 "$worker"
	wait_for 20 another_worker "$worker"
	calls n-a n-api.internal 'page 4 of n-api'
	reaches n-a $PRIVATE 80
	control=$(ps -eo pid,args | awk -v p="$BERTH_PREFIX/lib/berth/berth-control" '$2 == p { print $1 }' | tail -n 1)
	kill -9 "$control"
	wait_for 20 berth_answers
	calls n-a n-api.internal 'page 4 of n-api'
	reaches n-a $PRIVATE 80
	# berthd as a whole, as for an upgrade: apps go on
	"$BERTH_PREFIX/sbin/berthd" --stop --state "$BERTH_STATE" --run "$BERTH_RUN" </dev/null >>"$BERTH_TEST/berthd.log" 2>&1
	berthd_start
	calls n-a n-api.internal 'page 4 of n-api'
	refused n-a $PUBLIC 80
	inside n-a 'touch /tmp/stop; cat /tmp/tries; echo; ls /tmp/through'
	has 'No such file'
	[ "$(head -n 1 <<<"$output")" -gt 20 ]
	equal 3 "$(json network:report n-a | jq '.rules | length')"
	berth network:clear n-a >/dev/null
	reaches n-a $PUBLIC 80
}
another_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$1" ] && berth_answers; }

@test "a packet filter that somebody removed is back at once, with the rules" {
	berth network:allow n-a $PRIVATE >/dev/null
	nft delete table inet "berth_$BERTH_ID"
	wait_for 5 nft list chain inet "berth_$BERTH_ID" outward >/dev/null
	reaches n-a $PRIVATE 80
	refused n-b $PRIVATE 80
	reaches n-b $PUBLIC 80
	berth network:clear n-a >/dev/null
}

@test "a destroyed app takes its rules, its name and its callers' rules along" {
	app n-gone
	pushed
	berth config:set n-gone LISTEN_ANY=1 >/dev/null
	berth network:allow n-gone $PRIVATE >/dev/null
	berth network:allow n-a n-gone >/dev/null
	calls n-a n-gone.internal 'page 1'
	local id
	id=$(json apps:report n-gone | jq .id)
	nft list table inet "berth_$BERTH_ID" | grep -q "chain app_$id "
	berth apps:destroy n-gone --force >/dev/null
	inside n-a 'cat /etc/hosts'
	lacks n-gone
	equal '[]' "$(json network:report n-a | jq -c .rules)"
	equal 0 "$(nft list table inet "berth_$BERTH_ID" | grep -c "app_$id\b")"
	[ ! -e "$BERTH_RUN/network/app-$id" ]
}
