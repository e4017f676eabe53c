# Scheduled tasks (app.json's cron), and one-offs that go on without who asked.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

# task COMMAND: the id of c-tasks' task whose command holds it.
task() { json cron:list c-tasks | jq -r --arg c "$1" '.[] | select(.command | contains($c)) | .task'; }
# last TASK KEY: of its newest run.
last() { json cron:history c-tasks "$1" | jq -r ".[0].$2"; }
last_is() { [ "$(last "$1" status)" = "$2" ]; }
oneoffs() { json run:list "$1" | jq -r '[.[].name] | sort | join(" ")'; }
runs() { [ "$(oneoffs "$1")" = "$2" ]; }

@test "the tasks of app.json are listed, run by hand, and their ends are kept" {
	app c-minute # of its own: it runs in between, with the lowest number that is free
	echo '{"cron": [{"command": "date", "schedule": "* * * * *", "concurrency_policy": "allow"}]}' >app.json
	commit tasks
	pushed
	date +%s >"$BATS_FILE_TMPDIR/since"
	app c-tasks
	cat >app.json <<-'END'
		{ // every night, and more
		  "cron": [
		    {"command": "echo report of $BERTH_CRON_TASK in $DYNO", "schedule": "30 4 * * 1-5"},
		    {"command": "seq 150; echo no luck; exit 3", "schedule": "@weekly"},
		    {"command": "exec perl -e '$SIG{USR1} = sub { exit }; $| = 1; print qq(begun$/); sleep 60'", "schedule": "0 0 1 1 *"},
		    {"command": "trap 'echo told' TERM; echo stubborn; while :; do sleep 0.2; done", "schedule": "0 0 2 1 *", "concurrency_policy": "replace"}
		  ]
		}
	END
	commit tasks
	pushed
	equal 4 "$(json cron:list c-tasks | jq length)"
	local id
	id=$(task report)
	try berth cron:set c-tasks timezone Europe/Nowhere
	exits 2
	has Europe/Nowhere
	try berth cron:set c-tasks timezone UTC
	ok
	[[ $(json cron:list c-tasks | jq -r --arg t "$id" '.[] | select(.task == $t).next') == *T04:30:00Z ]]
	try berth cron:run c-tasks "${id:0:6}"
	ok
	has "report of $id in cron.1" 'cron.1 succeeded'
	berth logs c-tasks -n 50 | grep -q 'app\[cron\.1\]: report of'
	try berth cron:run c-tasks "$(task luck)"
	exits 1
	has 'no luck' 'exit status 3' 'Its last lines'
	equal 100 "$(grep -cE '^([0-9]+|no luck)$' <<<"$output")"
	equal 151 "$($(sed -n 's/.*all of them: //p' <<<"$output") | wc -l)"
	equal 'failed exit status 3 manual' "$(json cron:history c-tasks "$(task luck)" | jq -r '.[0] | "\(.status) \(.reason) \(.why)"')"
	json events c-tasks | jq -e '[.[] | select(.what == "cron:failed")] | length >= 1' >/dev/null
	try berth cron:run c-tasks none
	exits 1
	has 'has no task' 'cron:list'
	# ids stay over deploys
	commit again
	pushed
	equal "$id" "$(task report)"
}

@test "a run is taken over by a new berth-control; another is refused meanwhile" {
	local id
	id=$(task begun)
	try berth cron:run c-tasks "$id" --detach
	ok
	has 'Running cron.1'
	wait_for 5 logged c-tasks 'cron.1]: begun' # its handler is set
	berth run:detached c-tasks -- sh -c 'echo waits; exec sleep 60'
	runs c-tasks 'cron.1 run.1'
	try berth cron:run c-tasks "$id"
	exits 1
	has 'still runs' forbid
	kill -9 "$(control_pid)"
	wait_for 5 berth_answers
	runs c-tasks 'cron.1 run.1'
	equal running "$(last "$id" status)"
	kill -USR1 "$(app_pids c-tasks 'SIG{USR1}')"
	wait_for 5 last_is "$id" succeeded
	equal 'exit status 0' "$(last "$id" reason)"
	wait_for 2 runs c-tasks run.1
	equal 'sh -c echo waits; exec sleep 60' "$(json run:list c-tasks | jq -r '.[0].command')"
	equal true "$(json run:list c-tasks | jq -r '.[0].detached')"
}

@test "run:stop ends one-offs, by name or all; cron:run ends so too" {
	berth checks:set c-tasks stop-timeout 1
	try berth run:stop c-tasks run.1
	ok
	has 'run.1 ended' 'signal 15'
	try berth run:stop c-tasks run.1
	exits 1
	has 'run:list'
	try berth run:stop c-tasks
	exits 2
	berth run:detached c-tasks -- sh -c 'trap "" TERM; echo deaf; while :; do sleep 0.2; done'
	berth cron:run c-tasks "$(task begun)" --detach
	wait_for 5 logged c-tasks ']: deaf'
	try berth run:stop c-tasks --all
	ok
	has 'run.1 ended' 'signal 9' 'cron.1 ended'
	wait_for 5 last_is "$(task begun)" stopped
	equal '' "$(oneoffs c-tasks)"
}

of_last_two() { json cron:history c-tasks "$1" | jq -r '[.[:2][].status] | join(" ")'; }
@test "a run that takes its time to make way keeps no other task waiting" {
	local id pid
	id=$(task stubborn)
	berth checks:set c-tasks stop-timeout 10
	berth cron:run c-tasks "$id" --detach
	wait_for 5 logged c-tasks 'cron.1]: stubborn' # its trap is set
	berth cron:run c-tasks "$id" --detach >"$BATS_TEST_TMPDIR/replaced" 2>&1 &
	pid=$!
	wait_for 2 logged c-tasks 'cron.1]: told'
	try berth cron:run c-tasks "$(task report)"
	ok
	equal running "$(of_last_two "$id")" # it has not ended, and nothing runs in its place
	wait "$pid" || fail "$(cat "$BATS_TEST_TMPDIR/replaced")"
	equal 'running replaced' "$(of_last_two "$id")"
	berth run:stop c-tasks --all
}

@test "a suspended task waits, and sleep does not keep one from running" {
	local id
	id=$(task report)
	try berth cron:suspend c-tasks "$id"
	ok
	equal 'suspended null' "$(json cron:list c-tasks | jq -r --arg t "$id" '.[] | select(.task == $t) | "\(.state) \(.next)"')"
	berth cron:resume c-tasks --all --quiet
	equal active "$(json cron:list c-tasks | jq -r '[.[].state] | unique | join(" ")')"
	berth ps:sleep c-tasks
	try berth cron:run c-tasks "$id"
	ok
	equal asleep "$(json apps:list | jq -r '.[] | select(.name == "c-tasks").state')"
}

@test "what was due at a minute's beginning has run" {
	local since now
	since=$(cat "$BATS_FILE_TMPDIR/since")
	now=$(date +%s)
	[ $((since / 60)) != $(((now - 1) / 60)) ] || skip "no minute began since the push"
	wait_for 10 minute_has_run || fail "$(berth cron:history c-minute)"
}
minute_has_run() {
	json cron:history c-minute "$(json cron:list c-minute | jq -r '.[0].task')" | jq -e 'any(.[]; .why != "manual" and .status == "succeeded")' >/dev/null
}
