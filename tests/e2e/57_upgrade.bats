# New programs in the place of running ones: nothing ends, nothing is lost.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
	printf 'page 2\n' >"$BATS_TEST_TMPDIR/2"
}
teardown() {
	[ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :
	[ ! -e "$BERTH_PREFIX/lib/berth/good" ] || mv -f "$BERTH_PREFIX/lib/berth/good" "$BERTH_PREFIX/lib/berth/berthd"
}

# The same programs as new files, as an installation makes them.
install_again() {
	local f
	for f in "$BERTH_PREFIX"/lib/berth/berth*; do
		cp -p "$f" "$f.new"
		mv -f "$f.new" "$f"
	done
}
upgrade() { "$BERTH_PREFIX/sbin/berthd" --upgrade --state "$BERTH_STATE" --run "$BERTH_RUN" 3>&-; }
gone() { # of OLD NEW: pids that are in both
	comm -12 <(sort <<<"$1") <(sort <<<"$2")
}

@test "all programs are replaced under load: no request, no push and no instance is lost" {
	local monitor worker before after app pushes=0
	app u-up
	pushed
	berth ps:scale u-up web=20
	app=$(app_parents u-up | sort)
	equal 20 "$(wc -l <<<"$app")"
	app u-push
	pushed
	monitor=$(monitor_pid)
	worker=$(worker_pid)
	before=$(program_pids berth)
	cd "$WORK/u-up"
	load_start u-up --expect "$BATS_TEST_TMPDIR/1" --fresh 1
	# in flight all the while, longer than it takes
	curl -sS --max-time 20 -H 'Host: u-up.localhost' "$(url '/slow?4000')" >"$BATS_TEST_TMPDIR/slow" &
	local slow=$!
	(
		cd "$WORK/u-push"
		until [ -e "$BATS_TEST_TMPDIR/stop" ]; do
			page_is "page $RANDOM" >/dev/null 2>&1
			git push -q berth HEAD:main >"$BATS_TEST_TMPDIR/push" 2>&1 || exit 1
			echo >>"$BATS_TEST_TMPDIR/pushes"
		done
	) 3>&- &
	local pusher=$!
	sleep 0.3
	install_again
	local began
	began=$(now_ms)
	try upgrade
	ok
	printf '# %d ms\n' "$(($(now_ms) - began))" >&3
	wait $slow
	equal 'page 1' "$(cat "$BATS_TEST_TMPDIR/slow")"
	touch "$BATS_TEST_TMPDIR/stop"
	wait $pusher || fail "a push failed: $(cat "$BATS_TEST_TMPDIR/push")"
	load_stop 'an upgrade'
	printf '# %s pushes went through meanwhile\n' "$(wc -l <"$BATS_TEST_TMPDIR/pushes")" >&3
	# The monitor is the same process with the new file, all others are new.
	equal "$monitor" "$(monitor_pid)"
	[[ $(readlink "/proc/$monitor/exe") != *deleted* ]]
	wait_for 40 only_new "$before" "$monitor"
	[ "$worker" != "$(worker_pid)" ]
	for p in $app; do kill -0 "$p"; done
	equal 20 "$(berth logs u-up -n 100000 | grep -c 'listening on')"
	berth ps:scale u-up web=1
	database_sound
	page_is 'page 2'
	pushed
	serves u-up 'page 2'
}
only_new() { [ "$(gone "$1" "$(program_pids berth)")" = "$2" ]; }

routers_left() { grep -c '^left ' "$BERTH_RUN/daemons"; }
no_router_left() { [ "$(routers_left)" = 0 ]; }

@test "a WebSocket outlives upgrades, keeps its app awake, and a deploy gives it its time" {
	local left
	app u-ws
	pushed
	wait_for 40 no_router_left
	websocket u-ws
	for i in 1 2; do
		install_again
		try upgrade
		ok
	done
	echoes
	left=$(grep '^left ' "$BERTH_RUN/daemons")
	sleep 11 # what is idle has that long
	echoes
	equal 1 "$(routers_left)"
	equal "$left" "$(grep '^left ' "$BERTH_RUN/daemons")"
	try berth ps:sleep u-ws
	exits 1
	has 'requests or WebSockets open'
	page_is 'page 2'
	pushed
	serves u-ws 'page 2'
	sleep 2 # all routers of today have said that nothing is in flight in the old instance
	echoes
	exec 9>&-
	wait_for 10 no_router_left
	try berth ps:sleep u-ws
	ok
}

@test "an upgrade where no berthd runs says so, with a status of its own" {
	try "$BERTH_PREFIX/sbin/berthd" --upgrade --state "$BERTH_STATE" --run "$BATS_TEST_TMPDIR"
	exits 3
	has 'no berthd runs'
}

monitor_lives() { kill -0 "$(monitor_pid)" 2>/dev/null; }

@test "a new berthd that cannot run changes nothing; the next good one takes over" {
	app u-bad
	pushed
	local app before
	app=$(app_parents u-bad)
	before=$(cat "$BERTH_RUN/daemons")
	cp -p "$BERTH_PREFIX/lib/berth/berthd" "$BERTH_PREFIX/lib/berth/good"
	load_start u-bad --expect "$BATS_TEST_TMPDIR/1" --fresh 1
	# not a program at all, then one that ends at once
	printf 'nothing' >"$BATS_TEST_TMPDIR/bad"
	chmod 755 "$BATS_TEST_TMPDIR/bad"
	for bad in "$BATS_TEST_TMPDIR/bad" /bin/false; do
		cp "$bad" "$BERTH_PREFIX/lib/berth/berthd.new"
		mv -f "$BERTH_PREFIX/lib/berth/berthd.new" "$BERTH_PREFIX/lib/berth/berthd"
		kill -USR2 "$(monitor_pid)"
		sleep 1
		wait_for 10 berth_answers
		wait_for 10 monitor_lives
		equal "$before" "$(cat "$BERTH_RUN/daemons")"
	done
	grep -q 'no upgrade: cannot run' "$BERTH_TEST/berthd.log"
	mv -f "$BERTH_PREFIX/lib/berth/good" "$BERTH_PREFIX/lib/berth/berthd"
	try upgrade
	ok
	has 'All of them are new'
	load_stop 'two bad upgrades and a good one'
	equal "$app" "$(app_parents u-bad)"
}
