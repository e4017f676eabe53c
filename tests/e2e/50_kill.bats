# kill -9 of each of berth's programs while an app serves: the app goes on, the program is back, nothing is lost.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
	printf 'page 2\n' >"$BATS_TEST_TMPDIR/2"
}
teardown() { [ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}

# back COMMAND…: polls; says how long it took.
back() {
	local began
	began=$(now_ms)
	wait_for 10 "$@" || fail "not back: $*"
	printf '# back after %d ms: %s\n' $(($(now_ms) - began)) "$*" >&3
}
other_pid() {
	local now
	now=$(program_pids "$1" | sort -n | head -n 1)
	[ -n "$now" ] && [ "$(program_pids "$1" | grep -cFx "$2")" = 0 ]
}

runs_once() { [ "$(app_parents "$1" | wc -l)" = 1 ]; }

# survives NAME COMMAND…: the app lives through COMMAND, which kills something.
survives() {
	local name=$1 before after lost
	shift
	live "$name"
	berth config:set "$name" TICK_MS=5
	wait_for 10 runs_once "$name" # the old release's instance goes in the background
	before=$(app_parents "$name")
	load_start "$name" --expect "$BATS_TEST_TMPDIR/1" --fresh 0
	wait_for 10 tick_reached "$name" 20
	"$@"
	back berth_answers
	# Then it is whole again: a deploy works, and the instance that ran all the while was the same.
	serves "$name" 'page 1'
	after=$(app_parents "$name")
	equal "$before" "$after"
	wait_for 10 tick_reached "$name" 500
	ticks_whole "$name"
	database_sound
	kill -TERM "$LOAD_PID"
	wait "$LOAD_PID" || lost=1
	printf '# %s: %s\n' "$name" "$(tail -n 1 "$LOAD_OUT")" >&3
	LOAD_PID=
	[ -z "${lost:-}" ] || [ -n "${MAY_LOSE:-}" ] || fail "$(cat "$LOAD_OUT")"
	page_is 'page 2'
	pushed
	serves "$name" 'page 2'
}

git_of() { pgrep -f "receive-pack $BERTH_STATE/repos/$1.git"; }
# BRANCH APP PAGE: a push to the branch whose git is killed when the app serves what was pushed.
cut_push() {
	git push berth "HEAD:$1" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local push=$!
	wait_for 30 grep -q waiting "$BATS_TEST_TMPDIR/out"
	git_of kill-git | xargs kill -STOP
	wait_for 10 serves_quietly "$2" "$3"
	equal "$(git rev-parse HEAD~1)" "$(cat "$BERTH_STATE/repos/kill-git.git/refs/heads/$1")"
	git_of kill-git | xargs kill -9
	wait "$push" && fail 'a push whose git was killed went well'
	wait_for 10 has_branch "$1" "$(git rev-parse HEAD)"
}
has_branch() { git ls-remote berth "refs/heads/$1" | grep -q "^$2"; }

@test "kill -9 of git after the switch: the branch is what serves for the next who asks, be it a fetch or a push" {
	live kill-git
	printf 'web: exec perl serve.pl\nrelease: echo waiting; sleep 4\n' >Procfile
	page_is 'page 2'
	cut_push main kill-git 'page 2'
	equal "$(git rev-parse HEAD)" "$(cat "$BERTH_STATE/repos/kill-git.git/refs/berth/releases/2")"
	page_is 'page 3'
	pushed
	serves kill-git 'page 3'
	# a preview's branch likewise
	berth previews:set kill-git enabled on >/dev/null
	pushed berth HEAD:other
	page_is 'page 4'
	cut_push other kill-git-other 'page 4'
	equal "$(git rev-parse HEAD)" "$(cat "$BERTH_STATE"/repos/kill-git.git/refs/berth/previews/*/2)"
	equal "$(git rev-parse HEAD~1)" "$(git ls-remote berth refs/heads/main | cut -f 1)"
}

kill_control() {
	local pid
	pid=$(control_pid)
	kill -9 "$pid"
	wait_for 5 not_running "$pid"
	back other_pid berth-control "$pid"
}
kill_logger() {
	local pid
	pid=$(program_pids berth-logger)
	kill -9 "$pid"
	back other_pid berth-logger "$pid"
}
kill_routers() {
	local pid
	for pid in $(program_pids berth-router); do kill -9 "$pid"; done
	back answers_again kill-router
}
answers_again() { [ "$(curl -sS --max-time 1 -H "Host: $1.localhost" "$(url)" 2>/dev/null)" = 'page 1' ]; }
kill_worker() {
	local pid
	pid=$(worker_pid)
	[ -n "$pid" ]
	kill -9 "$pid"
	back other_worker "$pid"
}
other_worker() {
	local now
	now=$(worker_pid)
	[ -n "$now" ] && [ "$now" != "$1" ]
}
kill_monitor() {
	local pid
	pid=$(monitor_pid)
	kill -9 "$pid"
	back other_monitor "$pid"
}
other_monitor() {
	local now
	now=$(monitor_pid)
	[ -n "$now" ] && [ "$now" != "$1" ] && kill -0 "$now" 2>/dev/null
}

@test "the check for lost lines sees a lost line" {
	berth() { printf 'x app[web.1]: tick %d\n' 1 2 3 4 5 6 7 9 10 11 12; }
	run ticks_whole none
	fails
	has 'lost 8 to 8'
	berth() { printf 'x app[web.1]: tick %d\n' 1 2 3 4 5 4 5 6 7 8 9 10 11 12; }
	run ticks_whole none
	ok
}

@test "berth-control killed: no request is lost, it is back" {
	survives kill-control kill_control
}

@test "berth-logger killed: no line is lost, it is back" {
	survives kill-logger kill_logger
}

@test "the router's workers killed: they are back, the app is the same" {
	# Open connections die with their worker: those requests are the only ones that may fail.
	MAY_LOSE=1 survives kill-router kill_routers
}

@test "berthd's worker killed: the app is adopted, it is back" {
	survives kill-worker kill_worker
}

@test "berthd's monitor killed: the worker takes over" {
	survives kill-monitor kill_monitor
}

@test "an instance started before a kill of berthd can still be stopped, entered and logged" {
	live kill-adopt
	kill_worker
	back berth_answers
	try berth enter kill-adopt web.1 -- cat page.txt
	ok
	equal 'page 1' "$output"
	try berth ps:scale kill-adopt web=0
	ok
	wait_for 10 none_left kill-adopt
}
none_left() { [ -z "$(app_pids "$1")" ]; }

# interrupted NAME COMMAND…: COMMAND strikes while a push waits in its release task. The end must be clear: either the
# push succeeded and page 2 serves, or it failed and page 1 serves; the ref agrees, and the next push works.
interrupted() {
	local name=$1 old new pid status=0
	shift
	live "$name"
	old=$(git rev-parse HEAD)
	printf 'web: exec perl serve.pl\nrelease: echo waiting; sleep 2\n' >Procfile
	page_is 'page 2'
	new=$(git rev-parse HEAD)
	git push berth HEAD:main >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	pid=$!
	wait_for 30 grep -q waiting "$BATS_TEST_TMPDIR/out"
	"$@"
	wait "$pid" || status=$?
	wait_for 10 berth_answers
	if [ "$status" -eq 0 ]; then
		printf '# the push went through\n' >&3
		serves "$name" 'page 2'
		equal "$new" "$(git ls-remote berth refs/heads/main | cut -f1)"
	else
		printf '# the push was refused\n' >&3
		wait_for 10 serves_quietly "$name" 'page 1'
		equal "$old" "$(git ls-remote berth refs/heads/main | cut -f1)"
	fi
	wait_for 20 no_sleep "$name"
	equal 0 "$(json releases "$name" | jq '[.[] | select(.status == "pending" or .status == "building" or .status == "starting")] | length')"
	database_sound
	printf 'web: exec perl serve.pl\n' >Procfile
	page_is 'page 3'
	pushed
	serves "$name" 'page 3'
}
serves_quietly() { [ "$(page "$1")" = "$2" ]; }
no_sleep() { [ -z "$(app_pids "$1" sleep)" ]; }

@test "a push interrupted by the death of berth-control ends in a clear state" {
	interrupted cut-control kill_control
}

@test "a push interrupted by the death of berthd's worker ends in a clear state" {
	interrupted cut-worker kill_worker
}

@test "a push interrupted by the death of the logger ends in a clear state" {
	interrupted cut-logger kill_logger
}

@test "a push interrupted by the death of the router ends in a clear state" {
	interrupted cut-router kill_just_routers
}
kill_just_routers() {
	local pid
	for pid in $(program_pids berth-router); do kill -9 "$pid"; done
}

@test "berthd stopped and started again finds the apps running" {
	live kill-restart
	local before
	before=$(app_parents kill-restart)
	"$BERTH_PREFIX/sbin/berthd" --stop --state "$BERTH_STATE" --run "$BERTH_RUN" 3>&-
	kill -0 "$before"
	berthd_start
	wait_for 5 serves_quietly kill-restart 'page 1'
	equal "$before" "$(app_parents kill-restart)"
}

@test "stopped as a whole and started again, the apps come back by themselves" {
	live kill-all
	berth config:set kill-all KEPT=yes
	berthd_stop
	equal '' "$(app_pids kill-all)"
	berthd_start
	wait_for 30 serves_quietly kill-all 'page 1' # the other tests' apps come, too
	try page kill-all /env
	has KEPT=yes
	page_is 'page 2'
	pushed
	serves kill-all 'page 2'
}
