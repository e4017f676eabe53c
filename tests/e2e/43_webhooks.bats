# Webhooks: signed, for what was asked for, tried again, and not lost when berth-control is killed.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	got=$BATS_FILE_TMPDIR/got
	: >>"$got"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	HOOK_PORT=$(free_port)
	export HOOK_PORT
	receiver 0
	app wh-app
	berth apps:create wh-app >/dev/null
}

teardown_file() {
	receiver_end
	berth disk:set --global reserve '' >/dev/null
	for id in $(json webhooks:list | jq -r '.[] | select(.app == "(all)") | .id'); do
		berth webhooks:remove --global "$id" >/dev/null
	done
	berth apps:destroy wh-app --force >/dev/null 2>&1 || :
}

receiver() { # FAIL: how many requests are answered with 503
	/usr/bin/python3 "$BERTH_SOURCE/tests/lib/hook.py" "$HOOK_PORT" "$BATS_FILE_TMPDIR/got" the-secret "$1" >/dev/null 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/pid"
	wait_for 5 listens
}
receiver_end() {
	kill "$(cat "$BATS_FILE_TMPDIR/pid")" 2>/dev/null || :
	wait_for 5 not_running "$(cat "$BATS_FILE_TMPDIR/pid")"
}
listens() { (exec 9<>"/dev/tcp/127.0.0.1/$HOOK_PORT") 2>/dev/null; }

# told FILTER: of what came, what jq's FILTER chooses.
told() { jq -rs "[.[] | select($1)] | length" "$got"; }
is_told() { [ "$(told "$1")" -ge 1 ]; }

@test "a webhook is told of deploys, each request signed; its secret is not shown again" {
	try berth webhooks:add wh-app "http://127.0.0.1:$HOOK_PORT/hook?key=abc" --secret the-secret --event deploy,crash
	ok
	lacks the-secret
	lacks 'abc'
	try berth webhooks:test wh-app "$(json webhooks:list wh-app | jq '.[0].id')"
	ok
	has 'the receiver answers 200'
	is_told '.event == "ping" and .signed'
	cd "$WORK/wh-app"
	pushed
	wait_for 5 is_told '.event == "deploy" and .signed and .body.result == "succeeded"'
	equal "$(git rev-parse HEAD) wh-app 1 tester" \
		"$(jq -rs '[.[] | select(.event == "deploy")][0].body | "\(.commit) \(.app) \(.release) \(.by)"' "$got")"
	equal 1 "$(jq -rs '[.[] | select(.event == "deploy")] | unique_by(.delivery) | map(select(.delivery == .body.delivery)) | length' "$got")"
	# a failed one, and that it is not signed with anything else
	printf 'web: false\n' >Procfile
	commit broken
	push
	refuses
	wait_for 5 is_told '.body.result == "failed" and (.body.error | test("web.1"))'
	equal 0 "$(told '.signed | not')"
	try berth webhooks:list wh-app
	has deploy delivered '?***'
	lacks the-secret
	! grep -qa the-secret "$BERTH_STATE"/control/berth.db* || fail 'the secret lies in the database'
	try berth events wh-app
	has webhooks:add
	lacks the-secret
}

@test "the first fall of a row is told, not each" {
	inside wh-app 'kill -9 1' || :
	for p in $(app_pids wh-app); do kill -9 "$p" 2>/dev/null || :; done
	wait_for 5 is_told '.event == "crash" and .body.what == "restarts" and .body.process == "web"'
	equal 1 "$(told '.event == "crash"')"
}

@test "who is not told an event, an address that is none, and a member over ssh" {
	try berth webhooks:add wh-app http://169.254.169.254/ --secret the-secret
	fails
	try remote webhooks:add wh-app "http://127.0.0.1:$HOOK_PORT/" --secret the-secret
	fails
	has 'only root on the host'
	try berth webhooks:add wh-app https://hooks.example.com/ --event deploys
	fails
	has 'deploy, crash, disk and certificate'
	try berth webhooks:add wh-app syslog+tcp://logs.example.com
	fails
	try berth webhooks:add --global "http://127.0.0.1:$HOOK_PORT/all" --secret the-secret --event disk
	ok
	berth disk:set --global reserve 1000000G >/dev/null
	wait_for 5 is_told '.event == "disk" and .signed and .body.what == "low" and .body.reserve_bytes > .body.free_bytes'
	berth disk:set --global reserve '' >/dev/null
	equal 0 "$(told '.event == "disk" and .body.app')"
}

state_is() { [ "$(json webhooks:list wh-app | jq -r '.[0].deliveries[0].state')" = "$1" ]; }

answered() { [ "$(json webhooks:list wh-app | jq '.[0].deliveries[0].status')" = "$1" ]; }

@test "what is not taken is tried again, by the next berth-control too" {
	receiver_end
	receiver 1
	cd "$WORK/wh-app"
	git reset -q --hard HEAD~1
	page_is 'page 2'
	pushed -f berth HEAD:main
	wait_for 5 state_is retrying
	wait_for 5 answered 503
	# It is due when the next one comes, and no other: one that is killed while it sends tries again after a minute.
	local control worker status=0
	control=$(control_pid)
	worker=$(worker_pid)
	kill -STOP "$worker"
	kill -9 "$control"
	sqlite3 -cmd '.timeout 2000' "$BERTH_STATE/control/berth.db" "UPDATE webhook_delivery SET next_us = 1 WHERE next_us > 0" || status=$?
	kill -CONT "$worker"
	equal 0 "$status"
	wait_for 10 state_is delivered
	equal 2 "$(told '.body.result == "succeeded" and .body.release == 3')"
	database_sound
}
