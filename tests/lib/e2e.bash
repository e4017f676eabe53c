# What every .bats file loads: pushing, fetching and asserting against the one berth of the run.
# shellcheck disable=SC2154 # status and output come from bats' run

# shellcheck source=tests/lib/berth.bash
. "$BERTH_SOURCE/tests/lib/berth.bash"

fail() {
	printf '%s\n' "$@" >&2
	return 1
}

equal() { [ "$1" = "$2" ] || fail "expected: $1" "got:      $2"; }

# has TEXT…: $output holds each of the texts.
has() {
	local t
	for t; do
		case $output in
		*"$t"*) ;;
		*) fail "not in the output: $t" "output (status $status):" "$output" ;;
		esac || return 1
	done
}

lacks() {
	case $output in
	*"$1"*) fail "must not be in the output: $1" "output (status $status):" "$output" ;;
	esac
}

ok() { [ "$status" -eq 0 ] || fail "failed with status $status:" "$output"; }
exits() { [ "$status" -eq "$1" ] || fail "expected status $1, got $status:" "$output"; }
fails() { [ "$status" -ne 0 ] || fail "should have failed:" "$output"; }

# try COMMAND…: like run, with stdin closed and a limit of time (a function limits its own).
try() {
	if [ "$(type -t "$1")" = function ]; then
		run "$@" </dev/null
	else
		run timeout --foreground "${TRY_SECONDS:-120}" "$@" </dev/null
	fi
}

# with_half_tar COMMAND…: tar, where the command runs it, says that it could not read all of the folder.
with_half_tar() {
	mkdir -p "$BATS_TEST_TMPDIR/half"
	printf '#!/bin/sh\n%s "$@"\nexit 2\n' "$(command -v tar)" >"$BATS_TEST_TMPDIR/half/tar"
	chmod +x "$BATS_TEST_TMPDIR/half/tar"
	PATH="$BATS_TEST_TMPDIR/half:$PATH" "$@"
}

# app NAME [SOURCE]: a repository for app NAME in $WORK/NAME, a first commit of SOURCE (default: the probe), and
# the shell goes there. SOURCE is a folder below examples/ or tests/e2e/apps/, or "-" for none.
app() {
	local name=$1 from=${2:-probe} dir=$WORK/$1
	if [ -e "$dir" ]; then # left by a run before, with TESTS_KEEP
		rm -rf "$dir"
		berth apps:destroy "$name" --force >/dev/null 2>&1 || :
	fi
	mkdir -p "$dir"
	cd "$dir" || return 1
	git init -q
	git remote add berth "berth:$name"
	[ "$from" != - ] || return 0
	if [ -d "$BERTH_SOURCE/examples/$from" ]; then
		cp -a "$BERTH_SOURCE/examples/$from/." .
	else
		cp -a "$BERTH_SOURCE/tests/e2e/apps/$from/." .
	fi
	commit first
}

commit() {
	git add -A
	git commit -q --allow-empty -m "${1:-change}"
}

page_is() {
	printf '%s\n' "$1" >page.txt
	commit "page $1"
}

# push [ARGS]: pushes the deploy branch, like run.
push() {
	if [ $# -eq 0 ]; then set -- berth HEAD:main; fi
	try git push "$@"
	# What the pusher reads, without git's "remote: " and its padding.
	output=$(printf '%s\n' "$output" | tr '\r' '\n' | sed 's/^remote: //; s/\x1b\[K//g; s/ *$//')
}

pushed() {
	push "$@"
	ok
}

url() { echo "http://127.0.0.1:$BERTH_PORT${1:-/}"; }
fetch() { curl -sS --max-time 20 -H "Host: $1" "$(url "${2:-/}")"; }
code_of() { curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -H "Host: $1" "$(url "${2:-/}")"; }
page() { fetch "$1.localhost" "${2:-/}"; }
# serves APP TEXT: the whole body of its page is TEXT.
serves() { equal "$2" "$(page "$1")"; }
# inside APP COMMAND: run by the probe app; sets output and status to the command's own.
inside() {
	local reply
	reply=$(curl -sS --max-time 60 -H "Host: $1.localhost" --data-binary "$2" "$(url /sh)") || return 1
	output=${reply#*$'\n'}
	status=${reply%%$'\n'*}
	case $status in
	status\ [0-9]*) status=${status#status } ;;
	*) fail "no answer from inside $1:" "$reply" ;;
	esac
	[ "$output" != "$reply" ] || output=
}

json() { berth "$@" --format json; }
# logged APP TEXT: one of its newest lines holds TEXT.
logged() { berth logs "$1" -n 1000 | grep -qF -e "$2"; }
release_of() { json releases "$1" | jq '[.[] | select(.current)][0].version'; }
refuses() { fails && has "rejected"; }

# over ssh, as a user would
remote() { timeout --foreground 60 ssh -F "$SSH_CONFIG" berth "$@"; }

# app_pids APP [COMMAND]: host process ids of this berth's app whose command line holds COMMAND (default serve.pl).
app_pids() {
	local f p
	# shellcheck disable=SC2013 # names in /proc hold no spaces
	for f in $(grep -lszxF "BERTH_APP=$1" /proc/[0-9]*/environ); do
		p=${f#/proc/}
		p=${p%/environ}
		case $(tr '\0' ' ' 2>/dev/null <"/proc/$p/cmdline") in
		*"${2:-serve.pl}"*) ! grep -qs "berth-$BERTH_ID" "/proc/$p/cgroup" || echo "$p" ;;
		esac
	done
}
has_pids() { [ -n "$(app_pids "$@")" ]; }
# end_sleep APP SECONDS: the program "sleep SECONDS" in it, whoever waits for it.
end_sleep() {
	local p
	for p in $(app_pids "$1" "sleep $2"); do
		if [ "$(cat "/proc/$p/comm")" = sleep ]; then
			kill "$p"
			return
		fi
	done
	return 1
}
# The same without children of such processes: the probe forks one for each connection.
app_parents() {
	local p all parent
	all=$(app_pids "$@")
	for p in $all; do
		parent=$(ps -o ppid= -p "$p" | tr -d ' ')
		[ -z "$parent" ] || grep -qxF "$parent" <<<"$all" || echo "$p" # a child may have ended meanwhile
	done
}

# load_start APP FILE ARG…: steady requests in the background until load_stop; FILEs hold the bodies that count as good.
load_start() {
	local host=$1.localhost
	shift
	LOAD_OUT=$(mktemp "$BATS_TEST_TMPDIR/load.XXXXXX")
	/usr/bin/python3 "$BERTH_SOURCE/tests/lib/load.py" --port "$BERTH_PORT" --host "$host" --seconds 900 "$@" \
		>"$LOAD_OUT" 2>&1 3>&- &
	LOAD_PID=$!
	wait_for 10 grep -q '^started' "$LOAD_OUT"
}

# load_stop: ends it; fails unless every request was answered well. Prints the count (shown with the test).
load_stop() {
	local line status=0
	kill -TERM "$LOAD_PID" 2>/dev/null || :
	wait "$LOAD_PID" || status=$?
	line=$(tail -n 1 "$LOAD_OUT")
	printf '# %s: %s\n' "${1:-load}" "$line" >&3
	[ "$status" -eq 0 ] || fail "$(cat "$LOAD_OUT")"
}

# websocket APP: opens one on descriptor 9.
websocket() {
	local line
	exec 9<>"/dev/tcp/127.0.0.1/$BERTH_PORT"
	printf 'GET /ws HTTP/1.1\r\nHost: %s.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n' "$1" >&9
	IFS= read -r -t 20 -u 9 line
	case $line in *' 101 '*) ;; *) fail "$line" ;; esac
	while IFS= read -r -t 20 -u 9 line && [ "$line" != $'\r' ]; do :; done
}
echoes() {
	local line
	printf 'still here\n' >&9
	IFS= read -r -t 20 -u 9 line
	equal 'still here' "$line"
}

# traces TEXT PLACE…: where it is found below these folders, or in a table of the database but the config's and its releases'.
traces() {
	local text=$1 table
	shift
	[ $# -eq 0 ] || grep -ralF -- "$text" "$@" || :
	for table in $(sqlite3 "$BERTH_STATE/control/berth.db" "SELECT name FROM sqlite_master WHERE type='table'"); do
		[ "$table" != config ] && [ "$table" != release ] || continue
		! sqlite3 "$BERTH_STATE/control/berth.db" "SELECT * FROM \"$table\"" | grep -aqF -- "$text" || echo "table $table"
	done
}

# page_host DIR: programs for it that make the HOST of the manual's pages this berth.
page_host() {
	mkdir -p "$1"
	cat >"$1/ssh" <<-END
		#!/bin/bash
		exec /usr/bin/ssh -F $SSH_CONFIG -o ControlMaster=auto -o ControlPath=$1/socket -o ControlPersist=60 \
			"\${@/berth@HOST/$BERTH_SSH_USER@berth}" 3>&- 4>&-
	END
	printf '#!/bin/bash\nexec /usr/bin/curl -sS --connect-to "::127.0.0.1:%s" "$@"\n' "$BERTH_PORT" >"$1/curl"
	chmod +x "$1"/*
}
page_host_end() { ssh -F "$SSH_CONFIG" -o ControlPath="$1/socket" -O exit berth 2>/dev/null || :; }
