# Apps that accept on a unix socket: ports:set APP unix, and the built-in file server.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	if ! unix_possible; then skip 'this kernel has no SO_PASSRIGHTS (Linux 6.16)'; fi
}
teardown() { [ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :; }

unix_possible() {
	/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).setsockopt(socket.SOL_SOCKET, 83, 0)' 2>/dev/null
}
# listener NAME [WORD]: where that of the app's instance would be; WORD is in the command of its process.
listener() {
	local pid
	pid=$(app_parents "$@" | head -n 1)
	echo "$BERTH_RUN/listen/$(sed -n 's,.*/\([0-9a-f]\{16\}\)$,\1,p' "/proc/$pid/cgroup" | head -n 1)"
}
# listens NAME [WORD]: its listener is there, at $path: not yet while only the old instance runs, which had a port.
listens() { path=$(listener "$@" 2>/dev/null) && [ -S "$path" ]; }
gone() { [ ! -e "$1" ]; }
# Nothing is left: each listener is one of an instance that runs.
all_serve() {
	local path
	for path in "$BERTH_RUN"/listen/*; do
		[ ! -S "$path" ] || grep -qsr "/${path##*/}$" /proc/[0-9]*/cgroup || return 1
	done
}
computed_port() { berth ports:report "$1" --format json | jq -r .web.computed; }

# node_app NAME: says over what it was asked. Where it gets no listener it takes the port.
node_app() {
	printf 'port 5000\n' >"$BATS_TEST_TMPDIR/port"
	printf 'unix 5000\n' >"$BATS_TEST_TMPDIR/unix"
	app "$1" -
	echo '{"name":"own"}' >package.json
	echo 'web: node server.js' >Procfile # npm start would pass no descriptor on
	cat >server.js <<-'END'
		const where = process.env.LISTEN_PID == process.pid ? {fd: 3} : {port: process.env.PORT};
		require('http').createServer((request, response) =>
			response.end(`${request.socket.remoteAddress ? 'port' : 'unix'} ${process.env.PORT}\n`)).listen(where);
	END
	commit first
}

@test "a static site is served over a unix socket, and to other apps at its port" {
	app x-site static-site
	pushed
	page x-site | grep -q '<html'
	equal unix "$(computed_port x-site)"
	wait_for 5 logged x-site 'and a unix socket'
	first=$(listener x-site berth-static)
	[ -S "$first" ]
	try berth ports:set x-site 5001
	ok
	berth ps:restart x-site
	page x-site | grep -q '<html'
	equal 5001 "$(computed_port x-site)"
	wait_for 40 gone "$first"
	gone "$(listener x-site berth-static)"
	try berth ports:set x-site
	ok
	berth ps:restart x-site
	page x-site | grep -q '<html'
	wait_for 40 listens x-site berth-static
	second=$path
	berth apps:destroy x-site --force
	wait_for 10 gone "$second"
}

@test "a node app goes to a unix socket and back, each time without a lost request" {
	node_app x-node
	pushed
	serves x-node 'port 5000'
	try berth ports:set x-node unix
	ok
	load_start x-node --expect "$BATS_TEST_TMPDIR/port" --expect "$BATS_TEST_TMPDIR/unix"
	serves x-node 'port 5000' # from the next start on
	berth ps:restart x-node
	serves x-node 'unix 5000'
	try berth ports:report x-node
	has unix
	commit second
	pushed
	serves x-node 'unix 5000'
	berth ps:scale x-node web=2
	serves x-node 'unix 5000'
	wait_for 40 listens x-node server.js
	last=$path
	berth ports:set x-node
	berth ps:restart x-node
	serves x-node 'port 5000'
	load_stop 'to a unix socket, a push, scaled, and back'
	wait_for 40 gone "$last"
	try berth ports:set x-node tcp
	exits 2
	has 'a port from 1 to 65535, or unix'
}

@test "what enters an app, and its one-offs, get no listener" {
	node_app x-in
	berth apps:create x-in
	berth ports:set x-in unix
	pushed
	serves x-in 'unix 5000'
	try berth enter x-in -- sh -c 'echo "${LISTEN_FDS:-none}"; ls /proc/self/fd | wc -l'
	ok
	equal $'none\n4' "$output"
	try berth run x-in -- sh -c 'echo "${LISTEN_FDS:-none}"; ls /proc/self/fd | wc -l'
	ok
	equal $'none\n4' "$output"
	serves x-in 'unix 5000'
}

@test "an app that does not take its listener is refused, and told what to do" {
	node_app x-wrong
	berth apps:create x-wrong
	berth ports:set x-wrong unix
	berth checks:set x-wrong timeout 6
	sed -i 's/process.env.LISTEN_PID == process.pid ?/false ?/' server.js
	commit wrong
	push
	refuses
	has 'accepted nothing from its unix socket (descriptor 3, LISTEN_FDS=1) within 6 s, it listens on 5000'
	has 'berth ports:set APP 5000'
	wait_for 10 all_serve
}

@test "it goes on through the death of berthd and control and an upgrade, and the next start has a new listener" {
	node_app x-kill
	berth apps:create x-kill
	berth ports:set x-kill unix
	pushed
	load_start x-kill --expect "$BATS_TEST_TMPDIR/unix" --fresh 0
	kill -KILL "$(worker_pid)"
	wait_for 10 berth_answers
	serves x-kill 'unix 5000'
	# who listens is known from the instance, not from what is set meanwhile
	berth ports:set x-kill 5000
	kill -KILL "$(control_pid)"
	wait_for 10 berth_answers
	serves x-kill 'unix 5000'
	"$BERTH_PREFIX/sbin/berthd" --upgrade --state "$BERTH_STATE" --run "$BERTH_RUN" 3>&-
	serves x-kill 'unix 5000'
	berth ports:set x-kill unix
	berth ps:restart x-kill
	serves x-kill 'unix 5000'
	load_stop 'berthd and control killed, an upgrade, a restart'
}

@test "it is restarted after a crash, and asleep and frozen it is woken" {
	node_app x-sleep
	berth apps:create x-sleep
	berth ports:set x-sleep unix
	pushed
	serves x-sleep 'unix 5000'
	kill -KILL "$(app_pids x-sleep server.js)"
	wait_for 10 served_again x-sleep
	for how in freeze stop; do
		berth ps:set x-sleep sleep $how
		berth ps:sleep x-sleep
		serves x-sleep 'unix 5000'
	done
}
served_again() { [ "$(page "$1")" = 'unix 5000' ]; }
