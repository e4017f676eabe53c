# What runs after a rollout: no more and no less than the release and the formation say.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}
# lines APP TEXT N: the app's log holds TEXT at least N times.
lines() { [ "$(berth logs "$1" -n 500 | grep -cF -- "$2")" -ge "$3" ]; }
count_is() { [ "$(app_pids "$1" "$2" | wc -l)" = "$3" ]; }

@test "a worker that exits at once is restarted again and again" {
	app r-crash
	printf 'web: exec perl serve.pl\nworker: echo tick; exit 3\n' >Procfile
	commit worker
	pushed
	try berth ps:scale r-crash worker=1
	ok
	wait_for 12 lines r-crash 'app[worker.1]: tick' 5
	try berth ps:scale r-crash worker=0
	ok
	try berth apps:destroy r-crash --force
	ok
}

@test "an app that crash-loops is tried again after a restart that failed" {
	live r-loop
	printf 'web: test -e /data/stop && exit 3; exec perl serve.pl\n' >Procfile
	commit stop
	berth volumes:create r-loop-data
	berth volumes:mount r-loop r-loop-data /data
	pushed
	inside r-loop 'touch /data/stop'
	kill $(app_parents r-loop)
	wait_for 10 count_is r-loop serve.pl 0
	try berth ps:restart r-loop
	fails
	wait_for 12 lines r-loop 'restarts in' 1
	local before
	before=$(berth logs r-loop -n 500 | grep -c 'ended: exit status 3' || :)
	wait_for 15 lines r-loop 'ended: exit status 3' "$((before + 1))"
	berth apps:destroy r-loop --force
}

@test "process types that a new release does not have are stopped, and the push says so" {
	app r-types
	printf 'web: exec perl serve.pl\nworker: exec sleep 54321\n' >Procfile
	commit worker
	pushed
	berth ps:scale r-types worker=2
	wait_for 5 count_is r-types 'sleep 54321' 2
	printf 'web: exec perl serve.pl\n' >Procfile
	commit 'no worker'
	pushed
	has 'worker: not in v2, its instances stop'
	wait_for 5 count_is r-types 'sleep 54321' 0
	# and back: the formation still counts
	try berth rollback r-types
	ok
	wait_for 5 count_is r-types 'sleep 54321' 2
	printf 'worker: exec sleep 54322\n' >Procfile
	commit 'no web'
	pushed
	has 'web: not in v4, its instances stop'
	wait_for 10 count_is r-types serve.pl 0
	equal 503 "$(code_of r-types.localhost)"
	berth apps:destroy r-types --force
}

@test "an app that was stopped stays stopped after a push that failed" {
	live r-stopped
	try berth ps:stop r-stopped
	ok
	printf 'web: false\n' >Procfile
	commit bad
	push
	refuses
	lacks 'still serving'
	equal true "$(json apps:report r-stopped | jq .stopped)"
}

@test "a push option's config goes back when the push fails" {
	live r-option
	printf 'web: false\n' >Procfile
	commit bad
	push -o config.ODD=1 berth HEAD:main
	refuses
	try berth config:get r-option ODD
	exits 1
}

@test "ps:stop during the drain of a deploy takes no longer than the stop itself" {
	app r-double
	printf "web: trap '' TERM; exec perl -e '\$SIG{TERM} = q(IGNORE); do q(./serve.pl)'\n" >Procfile
	commit deaf
	pushed
	berth checks:set r-double stop-timeout 3
	page_is 'page 2'
	pushed
	local began
	began=$(now_ms)
	try berth ps:stop r-double
	ok
	[ $(($(now_ms) - began)) -lt 7000 ] || fail "took $(($(now_ms) - began)) ms"
	wait_for 5 count_is r-double serve.pl 0
}

@test "who asked for an app's end may go: it is done, and the trail has all of the question" {
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	local control pid
	control=$(control_pid)
	berth checks:set r-double stop-timeout 5
	berth ps:start r-double
	berth apps:destroy r-double --force --volumes destroy >/dev/null 2>&1 &
	pid=$!
	wait_for 5 is_removing r-double
	kill -9 "$pid"
	wait_for 10 is_gone r-double
	wait_for 5 destroyed_with 'volumes=destroy'
	equal "$control" "$(control_pid)"
}
is_removing() { json apps:list | jq -e --arg n "$1" '.[] | select(.name == $n and .state == "removing")' >/dev/null; }
is_gone() { ! json apps:list | jq -e --arg n "$1" '.[] | select(.name == $n)' >/dev/null; }
destroyed_with() { json events | jq -e --arg w "$1" '[.[] | select(.what == "apps:destroy" and (.detail | contains($w)))] | length > 0' >/dev/null; }

parents_are() { [ "$(app_parents "$1" | wc -l)" = "$2" ]; }

@test "deploys in a row keep two old releases for those who still look at them, not more" {
	local pids=() n
	live r-row
	for n in 2 3 4; do
		curl -sN -H 'Host: r-row.localhost' "$(url /events)" >"$BATS_TEST_TMPDIR/events.$n" 3>&- &
		pids+=($!)
		wait_for 5 grep -q 'data: 2' "$BATS_TEST_TMPDIR/events.$n"
		page_is "page $n"
		pushed
	done
	# v4 is live, v3 and v2 are still looked at, v1 is gone with its stream
	wait_for 10 parents_are r-row 3
	wait_for 5 not_running "${pids[0]}"
	kill -0 "${pids[1]}"
	kill -0 "${pids[2]}"
	wait_for 5 logged r-row 'instances 3 releases old: stopping them'
	kill "${pids[1]}" "${pids[2]}"
	wait_for 10 parents_are r-row 1
	serves r-row 'page 4'
}
