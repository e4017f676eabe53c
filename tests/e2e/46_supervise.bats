# Restarts: policies, crash loops, reports with reasons.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
}

# of APP INSTANCE KEY: what ps:report says of it.
of() { json ps:report "$1" | jq -r --arg i "$2" --arg k "$3" '.instances[] | select(.name == $i) | .[$k]'; }
state_is() { [ "$(of "$1" "$2" state)" = "$3" ]; }
has_reason() { [[ $(of "$1" "$2" reason) == *"$3"* ]]; }
restarted() { [ "$(of "$1" "$2" restarts)" = "$3" ] && state_is "$1" "$2" running; }
lines() { [ "$(berth logs "$1" -n 500 | grep -c -e "$2")" -ge "$3" ]; }

# worker APP COMMAND: an app whose worker runs COMMAND, not started yet.
worker() {
	app "$1"
	printf 'web: exec perl serve.pl\nworker: %s\n' "$2" >Procfile
	commit worker
	pushed
}

@test "an app that fails at every start is begun, for the test at the end" {
	worker v-loop 'echo no luck; exit 3'
	berth ps:scale v-loop worker=1
}

@test "restart-policy never: what ended stays ended, also for a new berth-control; ps:restart starts it" {
	worker v-never 'echo one more; exit 0'
	try berth ps:set v-never restart-policy.worker never
	ok
	try berth ps:report v-never --restart-policy.worker
	equal never "$output"
	berth ps:scale v-never worker=1
	wait_for 10 state_is v-never worker.1 ended
	equal 'exit status 0' "$(of v-never worker.1 reason)"
	kill -9 "$(control_pid)"
	wait_for 5 berth_answers
	wait_for 5 state_is v-never worker.1 ended
	sleep 1
	equal 1 "$(berth logs v-never -n 500 | grep -c 'one more')"
	equal ended "$(of v-never worker.1 state)"
	berth ps:restart v-never worker
	wait_for 10 lines v-never 'one more' 2
	# web is not of that policy
	kill -9 "$(app_parents v-never)"
	wait_for 10 restarted v-never web.1 1
	serves v-never 'page 1'
	equal 'killed by signal 9 (Killed)' "$(of v-never web.1 reason)"
	# and then it is: an app of which nothing runs is answered H10
	berth ps:set v-never restart-policy never
	kill -9 "$(app_parents v-never)"
	wait_for 10 state_is v-never web.1 ended
	wait_for 5 answers_503 v-never
	wait_for 5 logged v-never 'at=error code=H10'
}
answers_503() { [ "$(code_of "$1.localhost")" = 503 ]; }

@test "restart-policy on-failure:2: two more tries, and none after an end that was well" {
	worker v-two 'echo try; test -e /tmp/x && exit 0; exit 4'
	try berth ps:set v-two restart-policy on-failure:0
	fails
	has 'on-failure:N'
	berth ps:set v-two restart-policy on-failure:2
	berth ps:scale v-two worker=1
	wait_for 10 state_is v-two worker.1 ended
	wait_for 5 lines v-two 'worker.1\]: try' 3
	equal 'exit status 4' "$(of v-two worker.1 reason)"
	equal null "$(of v-two worker.1 next_in)"
	wait_for 5 logged v-two 'worker.1 is not started again'
}

@test "out of memory and a missing listener are reported as reasons" {
	worker v-oom 'exec perl -e "my @a; push @a, q(x) x 1000000 while 1"'
	berth resource:limit v-oom --memory 32M --process-type worker
	berth ps:set v-oom restart-policy.worker never
	berth ps:scale v-oom worker=1
	wait_for 20 state_is v-oom worker.1 ended
	equal 'out of memory at 32M' "$(of v-oom worker.1 reason)"
	# It runs, but does not listen, once a file is there
	printf 'web: test -e /data/deaf && exec sleep 1000; exec perl serve.pl\n' >Procfile
	commit deaf
	berth volumes:create v-oom-data
	berth volumes:mount v-oom v-oom-data:/data
	pushed
	berth checks:set v-oom timeout 1
	inside v-oom 'touch /data/deaf'
	kill -9 "$(app_parents v-oom)"
	wait_for 10 has_reason v-oom web.1 'no listener on $PORT=5000 within 1 s in web.1'
	berth run v-oom -- rm /data/deaf
	wait_for 10 state_is v-oom web.1 running
	serves v-oom 'page 1'
	equal 1 "$(app_parents v-oom | wc -l)"
	equal 0 "$(app_pids v-oom 'sleep 1000' | wc -l)"
}

@test "an instance that fails eight times in a row is crashed: said why, tried rarely" {
	wait_for 40 state_is v-loop worker.1 crashed
	equal 'exit status 3' "$(of v-loop worker.1 reason)"
	[ "$(of v-loop worker.1 next_in)" -gt 10 ] # of 300; the pauses before were 8 s at most
	wait_for 5 logged v-loop 'worker.1 crashed: it failed 8 times in a row, at last with "exit status 3"'
	logged v-loop 'berth ps:restart v-loop'
	try berth ps:report
	ok
	grep -E '^v-loop +running +1 +1 of 2 +[0-9]+ +in [0-9]+ s +exit status 3$' <<<"$output"
	try berth ps:report v-loop
	grep -E '^worker.1 +crashed .* [0-9]+ +in [0-9]+ s +exit status 3$' <<<"$output"
	berth ps:restart v-loop worker
	wait_for 5 state_is v-loop worker.1 restarting
}
