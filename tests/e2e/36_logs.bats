# Logs: what is kept, found, followed, and what may be too much.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	# What waits for ever must not hold bats' own descriptors.
	followers=()
}

teardown() {
	local p
	for p in "${followers[@]}"; do
		kill "$p" 2>/dev/null || :
		wait "$p" 2>/dev/null || :
	done
}

# writes APP COMMAND: a one-off's output in the log, to its end. Sets run to its name, and since to a time before its lines: its
# number is used again.
writes() {
	begins "$@"
	wait_for 20 ended "$1"
}
begins() {
	since=$(date -u +%FT%T.%6NZ)
	run=$(berth run:detached "$1" -- sh -c "$2" | grep -o 'run\.[0-9]*' | head -n 1)
	[ -n "$run" ]
}
ended() { berth logs "$1" --since "$since" -p ps | grep -q "$run of v[0-9]* ended"; }
texts() { sed 's/^[^ ]* [^ ]*: //'; }
folder_of() { echo "$BERTH_STATE/logs/$(sqlite3 "$BERTH_STATE/control/berth.db" "SELECT id FROM app WHERE name='$1'")"; }

@test "lines are whole, safe and in order: binary, CRLF, a line too long, one without an end" {
	app l-app
	pushed
	writes l-app 'printf "one\r\ntwo\\033[2J\\000\\377x\n\\303\\244 \\033[31mred\\033[0m\n"; head -c 20000 /dev/zero | tr "\\0" y; printf "\nlast, without an end"'
	try berth logs l-app -n 50 -p "$run"
	ok
	has "app[$run]: one" 'two\x1b[2J\x00\xffx' 'ä red' '[continues]' 'last, without an end'
	lacks $'\r' $'\e'
	equal 3 "$(grep -c 'yyy' <<<"$output")"
	equal 2 "$(grep -c 'y \[continues\]$' <<<"$output")"
	equal 20000 "$(grep yyy <<<"$output" | texts | tr -cd y | wc -c)"
	# Text that looks like another source is text.
	writes l-app 'echo "2026-01-02T03:04:05.678901Z berth[segment]: after=0000000000000001 release=9"'
	equal 1 "$(berth logs l-app --since "$since" -p "$run" | grep -c 'release=9$')"
	equal 0 "$(berth logs l-app -n 500 -p segment | wc -l)"
	try sort -c <(berth logs l-app -n 10000 | cut -d' ' -f1)
	ok
}

@test "-n, --since, --until, --grep, -i and JSON" {
	first=$(date -u +%FT%T.%6NZ)
	writes l-app 'seq -f "Number %g" 1 3000'
	equal 'Number 3000' "$(berth logs l-app -n 1 -p "$run" | texts)"
	equal "$(seq -f 'Number %g' 1 3000)" "$(berth logs l-app --since "$first" -p "$run" | texts)"
	equal 0 "$(berth logs l-app --until "$first" -n 5000 --grep 'Number ' | wc -l)"
	equal "$(seq -f 'Number %g' 2901 3000 | grep 77)" "$(berth logs l-app -n 1000 -p "$run" --grep 'Number 29' | texts | grep 77)"
	equal 0 "$(berth logs l-app -p "$run" --grep 'number 29' | wc -l)"
	equal 111 "$(berth logs l-app -n 5000 -p "$run" -i --grep 'nUMBER 29' | wc -l)"
	equal 'Number 1500' "$(berth logs l-app -p "$run" --grep 'Number 1500' --format json | jq -r .text)"
	equal "app[$run]" "$(berth logs l-app -p "$run" -n 1 --format json | jq -r .source)"
	try berth logs l-app --since yesterday
	exits 2
	has 'since must be a time'
	try berth logs l-app --release seven
	exits 2
	has 'release'
	try remote logs l-app -n 1 -p "$run" --until 0s
	ok
	has 'Number 3000'
}

@test "--release: the lines of its instances" {
	v=$(release_of l-app)
	berth config:set l-app MARK=second
	equal $((v + 1)) "$(release_of l-app)"
	writes l-app 'echo "mark $MARK"'
	equal 'mark second' "$(berth logs l-app --release "v$((v + 1))" -p "$run" | texts)"
	equal 0 "$(berth logs l-app --release "v$v" --since "$since" | wc -l)"
	equal 3000 "$(berth logs l-app --release "v$v" -n 9999 --grep 'Number ' | wc -l)"
	equal 0 "$(berth logs l-app --release "v$v" -n 9999 | cut -d' ' -f2 | grep -c '^berth')"
}

@test "a rate drops what is over it, counted in the log; other apps keep all" {
	app l-other
	pushed
	try berth logs:set l-app rate lots
	exits 2
	has 'lines a second'
	try berth logs:set l-app rate 1000
	ok
	equal 1000 "$(berth logs:report l-app --rate)"
	writes l-app 'seq -f "flood %g" 1 100000'
	writes l-other 'seq -f "flood %g" 1 20000'
	wait_for 5 all_counted || fail "$kept kept, $dropped dropped"
	[ "$kept" -ge 5000 ] && [ "$kept" -lt 30000 ]
	wait_for 5 has_lines 20000 l-other -n 200000 --grep 'flood '
	berth logs:set l-app rate
	equal off "$(berth logs:report l-app --rate)"
}

all_counted() {
	kept=$(berth logs l-app -n 200000 --grep 'flood ' | wc -l)
	dropped=$(berth logs l-app -n 5000 -p logs | sed -n 's/.* \([0-9,]*\) lines* dropped (rate 1000.*/\1/p' | tr -d , | paste -sd+ | bc)
	[ $((kept + ${dropped:-0})) -eq 100000 ]
}
# has_lines N ARG…: so many berth logs prints. What a program wrote at its end may come after the word that it ended.
has_lines() { [ "$(berth logs "${@:2}" | wc -l)" -eq "$1" ]; }

@test "a budget holds, at once when it is lowered; a follower goes on over the segments that go" {
	folder=$(folder_of l-app)
	try berth logs:set l-app budget 10
	exits 2
	local before
	before=$(watching)
	berth logs l-app -t -n 0 --grep 'long ' >"$BATS_TEST_TMPDIR/followed" &
	followers+=($!)
	wait_for 5 follows_more "$before"
	writes l-app 'seq -f "long %g 0123456789012345678901234567890123456789012345678901234567890123456789" 1 30000'
	[ "$(du -sb "$folder" | cut -f1)" -gt 3000000 ]
	berth logs:set l-app budget 1M
	writes l-app 'echo one more' # the newest segment goes when there is another
	small "$folder"
	writes l-app 'seq -f "long %g 0123456789012345678901234567890123456789012345678901234567890123456789" 30001 60000'
	small "$folder"
	wait_for 5 has_lines 1 l-app -n 1 --grep 'long 60000 '
	wait_for 10 ends_with "$BATS_TEST_TMPDIR/followed" 'long 60000'
	# All of it, or it says that some is missing.
	[ "$(grep -c ': long ' "$BATS_TEST_TMPDIR/followed")" -eq 60000 ] || grep -q 'lines are missing here' "$BATS_TEST_TMPDIR/followed"
	try sort -c <(cut -d' ' -f1 "$BATS_TEST_TMPDIR/followed")
	ok
	# A new logger knows it.
	kill -9 "$(program_pids berth-logger)"
	writes l-app 'seq -f "long %g 0123456789012345678901234567890123456789012345678901234567890123456789" 60001 80000'
	small "$folder"
	berth logs:set l-app budget
}
small() { [ "$(du -sb "$1" | cut -f1)" -le 1100000 ]; }
ends_with() { tail -n 1 "$1" | grep -qF "$2"; }

@test "kill -9 of the logger in a flood: no line is lost or out of order" {
	begins l-app 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo "count $i"; done'
	for _ in 1 2 3; do
		sleep 0.1
		p=$(program_pids berth-logger)
		[ -z "$p" ] || kill -9 "$p"
	done
	wait_for 20 ended l-app
	wait_for 10 all_are_there || fail "$(sort -n "$BATS_TEST_TMPDIR/counts" | uniq | wc -l) lines"
	# What was written and not yet taken is written again, from its first line on.
	awk '$1 > last + 1 { print "a hole before " $1; bad = 1 } { last = $1 } END { exit bad }' "$BATS_TEST_TMPDIR/counts"
	try sort -c <(berth logs l-app -n 100000 | cut -d' ' -f1)
	ok
}

all_are_there() {
	berth logs l-app --since "$since" -p "$run" --grep 'count ' | texts | cut -d' ' -f2 >"$BATS_TEST_TMPDIR/counts"
	[ "$(sort -n "$BATS_TEST_TMPDIR/counts" | uniq | wc -l)" -eq 20000 ]
}

@test "output that came to its end while the logger stood still is read, and its FIFO goes" {
	local logger new
	new_are_gone() { [ -z "$(comm -12 <(ls "$BERTH_RUN/fifo" | sort) <(echo "$new"))" ]; }
	has_ended() { [ "$(sqlite3 "$BERTH_STATE/control/berth.db" "SELECT state FROM instance WHERE id=$((16#$new))")" = exited ]; }
	# The test before killed it three times: the next one may be yet to come.
	wait_for 10 logger_runs
	logger=$(program_pids berth-logger)
	begins l-app 'sleep 4; echo the end comes with this line'
	kill -STOP "$logger"
	new=$(printf %016x "$(sqlite3 "$BERTH_STATE/control/berth.db" "SELECT max(id) FROM instance WHERE type='run'")")
	wait_for 20 has_ended || { kill -CONT "$logger" && fail 'it does not end'; }
	[ -e "$BERTH_RUN/fifo/$new" ] || { kill -CONT "$logger" && fail 'it has no FIFO'; }
	kill -CONT "$logger"
	wait_for 20 new_are_gone
	[ ! -e "$BERTH_RUN/instances/$new" ]
	wait_for 10 logged l-app 'the end comes with this line'
}

logger_runs() { [ "$(program_pids berth-logger | wc -l)" -eq 1 ]; }

# All switches of control's threads so far.
switches() { cat /proc/"$(control_pid)"/task/*/status | awk '/ctxt_switches/ { n += $2 } END { print n }'; }

@test "fifty followers wake nobody while nothing is logged, and all see the next line" {
	for i in $(seq 50); do
		"$BERTH_PREFIX/bin/berth" logs l-other -t -n 0 >"$BATS_TEST_TMPDIR/$i" 2>&1 &
		followers+=($!)
	done
	wait_for 10 fifty_watch
	for _ in 1 2 3 4 5; do # an app that crashes may be tried again in between
		sleep 0.5
		before=$(switches)
		sleep 3
		idle=$(($(switches) - before))
		[ "$idle" -ge 30 ] || break
	done
	writes l-other 'echo everybody sees this'
	wait_for 5 all_saw
	woken=$(($(switches) - before - idle))
	say "# $idle switches in 3 s idle, $woken for the lines of a one-off"
	[ "$idle" -lt 30 ]
	[ "$woken" -ge 50 ]
}
watching() { find /proc/"$(control_pid)"/fd -lname 'anon_inode:inotify' | wc -l; }
follows_more() { [ "$(watching)" -gt "$1" ]; }
fifty_watch() { [ "$(watching)" -ge 50 ]; }
all_saw() { [ "$(grep -l 'everybody sees this' "$BATS_TEST_TMPDIR"/[0-9]* | wc -l)" -eq 50 ]; }

@test "logs:failed: the last deploy that failed, its reason and its lines" {
	app l-failed
	pushed
	try berth logs:failed l-failed
	ok
	equal '' "$output"
	printf 'web: echo this is why; exit 3\n' >Procfile
	commit broken
	push
	refuses
	try berth logs:failed l-failed
	ok
	has 'l-failed: push v2 failed' 'exit status 3' 'app[web.1]: this is why'
	equal 2 "$(berth logs:failed l-failed --format json | jq '.[0].release')"
	try berth logs:failed
	has 'l-failed: push v2 failed'
}
