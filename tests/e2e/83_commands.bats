# The command table and the API's table, walked: what a row promises holds for every row, those of tomorrow too.
bats_require_minimum_version 1.5.0

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app blog
	mkdir bin
	printf '#!/bin/sh\necho migrated\n' >bin/migrate
	printf '#!/bin/sh\nexec sleep 1000\n' >bin/import
	chmod +x bin/*
	printf 'worker: exec sleep 1000\n' >>Procfile
	printf '{"cron": [{"command": "exec sleep 1000", "schedule": "@yearly"}]}\n' >app.json
	commit tasks
	pushed
	berth volumes:create blog-data
	berth volumes:mount blog blog-data:/data
	berth config:set blog WORD=x
	berth config:set blog WORD=y
	printf 'web: false\n' >Procfile
	commit fails
	push && fails
	git reset -q --hard HEAD~
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=blog.localhost \
		-addext subjectAltName=DNS:blog.localhost -addext basicConstraints=critical,CA:FALSE \
		-keyout "$WORK/walk.key" -out "$WORK/walk.crt" 2>/dev/null
	berth certs:add blog "$WORK/walk.crt" "$WORK/walk.key"
}
teardown_file() {
	for name in blog kept journal blog-test made api shop blog-feature-login; do
		berth apps:destroy "$name" --force --volumes destroy >/dev/null 2>&1 || :
	done
	for name in blog-data data spare; do berth volumes:destroy "$name" --force >/dev/null 2>&1 || :; done
	for name in ann bea; do berth members:remove "$name" >/dev/null 2>&1 || :; done
	rm -rf "$WORK"/walk* "$WORK/blog"
}
setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

walk() { try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/commands.py" "$1" blog; }

@test "every command: help with an example, completion, a schema" {
	walk help
	ok
}

@test "every command: wrong usage is 2, no such app is 20, a misspelt one is 2 with the nearest" {
	walk usage
	ok
}

@test "openapi.json: every operation is there, refuses what it does not describe, and answers what it does" {
	walk api
	ok
	has ' operations'
}

follow() { try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/sse.py" "$@"; }
followers() { find /proc/"$(control_pid)"/fd -lname 'anon_inode:inotify' | wc -l; }
as_before() { [ "$(followers)" -eq "$1" ]; }

@test "server-sent events: an operation, the trail, the log; who comes back misses nothing and reads nothing twice" {
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	local before
	before=$(followers)
	follow stream blog
	ok
	follow trail blog
	ok
	follow log blog
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
		follow $what blog api.walk.test
		ok
	done
	berth apps:set --global api-host ''
	berth members:remove walker
}

@test "server-sent events: curl -N reads them, and an id that is none is refused" {
	try curl -sSN --unix-socket "$BERTH_RUN/api.sock" -H 'Accept: text/event-stream' 'http://berth/v1/apps/blog/logs?n=2'
	ok
	has ': berth' 'event: log' 'data: {"time": "' $'event: end\ndata: 0'
	equal 2 "$(grep -c '^id: 20' <<<"$output")"
	for path in events apps/blog/logs; do
		try curl -sS --unix-socket "$BERTH_RUN/api.sock" -H 'Accept: text/event-stream' -H 'Last-Event-ID: nonsense' "http://berth/v1/$path"
		has '"code":"usage"' 'Last-Event-ID is not one of'
	done
}

# The last one: it leaves blog changed.
@test "every command: its example works as it is shown; of those that print data, the JSON is what its schema says" {
	page_host "$BATS_TEST_TMPDIR/bin"
	cd "$BATS_TEST_TMPDIR"
	HOME=$BATS_TEST_TMPDIR PATH=$BATS_TEST_TMPDIR/bin:$PATH walk examples
	page_host_end "$BATS_TEST_TMPDIR/bin"
	ok
	printf '# %s\n' "$output" >&3
}
