# The command table and the API's table, walked: what a row promises holds for every row, those of tomorrow too.
bats_require_minimum_version 1.5.0

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app walk
	printf '{"cron": [{"command": "true", "schedule": "@yearly"}]}\n' >app.json
	commit tasks
	pushed
	berth volumes:create walk-data
	berth volumes:mount walk walk-data:/data
	printf 'web: false\n' >Procfile
	commit fails
	push && fails
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=walk.localhost \
		-addext subjectAltName=DNS:walk.localhost,DNS:walk-both.example -addext basicConstraints=critical,CA:FALSE \
		-keyout "$WORK/walk.key" -out "$WORK/walk.crt" 2>/dev/null
}
teardown_file() {
	berth apps:destroy walk --force --volumes destroy
	rm -rf "$WORK"/walk*
}
setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

walk() { try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/commands.py" "$1" walk; }

@test "every command: help with an example, completion, a schema" {
	walk help
	ok
}

@test "every command: wrong usage is 2, no such app is 20, a misspelt one is 2 with the nearest" {
	walk usage
	ok
}

@test "every command that prints data: its JSON is what its schema says, and nothing else" {
	walk data
	ok
}

@test "openapi.json: every operation is there, refuses what it does not describe, and answers what it does" {
	walk api
	ok
	has ' operations'
}

follow() { try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/sse.py" "$@"; }
followers() { find /proc/"$(program_pids berth-control)"/fd -lname 'anon_inode:inotify' | wc -l; }
as_before() { [ "$(followers)" -eq "$1" ]; }

@test "server-sent events: an operation, the trail, the log; who comes back misses nothing and reads nothing twice" {
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	local before
	before=$(followers)
	follow stream walk
	ok
	follow trail walk
	ok
	follow log walk
	ok
	has '400 lines in 6 connections'
	wait_for 5 as_before "$before" # who leaves is noticed
}

@test "server-sent events: the same through the router, with a token" {
	berth members:add walker --role admin
	TOKEN=$(berth tokens:create walk-sse --member walker --role admin -q)
	export TOKEN
	berth apps:set --global api-host api.walk.test
	for what in stream trail log; do
		follow $what walk api.walk.test
		ok
	done
	berth apps:set --global api-host ''
	berth members:remove walker
}

@test "server-sent events: curl -N reads them, and an id that is none is refused" {
	try curl -sSN --unix-socket "$BERTH_RUN/api.sock" -H 'Accept: text/event-stream' 'http://berth/v1/apps/walk/logs?n=2'
	ok
	has ': berth' 'event: log' 'data: {"time": "' $'event: end\ndata: 0'
	equal 2 "$(grep -c '^id: 20' <<<"$output")"
	for path in events apps/walk/logs; do
		try curl -sS --unix-socket "$BERTH_RUN/api.sock" -H 'Accept: text/event-stream' -H 'Last-Event-ID: nonsense' "http://berth/v1/$path"
		has '"code":"usage"' 'Last-Event-ID is not one of'
	done
}
