# Nothing is lost: requests go on while releases change. Every answer is compared whole; the counts are printed.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	PAGES=$BATS_TEST_TMPDIR
	printf 'page 1\n' >"$PAGES/1"
	printf 'page 2\n' >"$PAGES/2"
	printf 'page 3\n' >"$PAGES/3"
}
teardown() { [ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :; }

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}

@test "the load generator sees a wrong page and a refused connection" {
	live load-control
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/load.py" --port "$BERTH_PORT" --host load-control.localhost \
		--expect "$PAGES/1" --seconds 1
	ok
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/load.py" --port "$BERTH_PORT" --host load-control.localhost \
		--expect "$PAGES/2" --seconds 1
	exits 1
	has 'unknown body'
	try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/load.py" --port 1 --host x --expect "$PAGES/2" --seconds 1
	exits 1
}

@test "redeploys under load lose no request" {
	live load-push
	load_start load-push --expect "$PAGES/1" --expect "$PAGES/2" --expect "$PAGES/3"
	for i in 2 3 1 2 3 1 2 3 1 2 3; do
		page_is "page $i"
		pushed
	done
	load_stop 'eleven redeploys'
	serves load-push 'page 3'
}

@test "config changes, restarts and a live limit under load lose no request" {
	live load-config
	load_start load-config --expect "$PAGES/1"
	for i in $(seq 15); do berth config:set load-config "N=$i"; done
	for i in $(seq 5); do berth ps:restart load-config; done
	berth resource:limit load-config --memory 256M
	load_stop '15 config changes, 5 restarts, a limit'
	inside load-config 'echo $N'
	equal 15 "$output"
}

@test "scaling up and down under load loses no request" {
	live load-scale
	load_start load-scale --expect "$PAGES/1"
	for n in 3 1 2 1 4 2 3 1 2 1; do berth ps:scale load-scale web=$n; done
	load_stop 'scaling ten times between 1 and 4'
}

@test "rollbacks under load lose no request" {
	live load-back
	page_is 'page 2'
	pushed
	load_start load-back --expect "$PAGES/1" --expect "$PAGES/2"
	for v in v1 v2 v1 v2 v1 v2 v1 v2 v1; do berth rollback load-back $v; done
	load_stop 'nine rollbacks'
	serves load-back 'page 1'
}

@test "a push that fails under load loses no request" {
	live load-fail
	load_start load-fail --expect "$PAGES/1"
	echo 'web: exit 3' >Procfile
	commit fails
	push
	refuses
	load_stop 'a refused push'
}

@test "an app with a volume is deployed stop-first: requests wait and none is lost" {
	app load-volume
	berth apps:create load-volume
	berth volumes:create load-data
	berth volumes:mount load-volume load-data:/data
	pushed
	serves load-volume 'page 1'
	load_start load-volume --expect "$PAGES/1" --expect "$PAGES/2"
	page_is 'page 2'
	pushed
	berth config:set load-volume A=b
	load_stop 'a stop-first redeploy and a config change'
	serves load-volume 'page 2'
}

@test "a request in flight over a switch is finished by the old instance" {
	live load-slow
	curl -sS -H 'Host: load-slow.localhost' "$(url '/slow?4000')" >"$PAGES/out" 3>&- &
	slow=$!
	page_is 'page 2'
	pushed
	serves load-slow 'page 2'
	wait "$slow"
	equal 'page 1' "$(cat "$PAGES/out")"
}
