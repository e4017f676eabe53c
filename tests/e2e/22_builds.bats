# Builds are guests: seen while they run, ended when asked, one after the other, in their time.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
}
teardown() {
	berth builds:set --global parallel '' >/dev/null
	[ -z "${PUSH_PID:-}" ] || kill "$PUSH_PID" 2>/dev/null || :
}

# An app whose build takes that long, in seconds, and leaves a program.
building() {
	app "$1" -
	cat >Makefile <<-END
		server: server.c
			@echo building slowly
			@sleep $2
			cc -o server server.c 2>/dev/null || cp server.sh server
	END
	sed -i 's/^ */\t/; 1s/^\t//' Makefile
	printf 'int main(void) { return 0; }\n' >server.c
	printf '#!/bin/sh\nexec perl serve.pl\n' >server.sh
	chmod 755 server.sh
	cp "$BERTH_SOURCE"/tests/e2e/apps/probe/serve.pl .
	printf 'page 1\n' >page.txt
	printf 'web: exec perl serve.pl\n' >Procfile
	commit one
}
push_behind() { # in the background, its words in $BATS_TEST_TMPDIR/$1
	git push berth HEAD:main >"$BATS_TEST_TMPDIR/$1" 2>&1 3>&- &
	PUSH_PID=$!
}
builds() { berth builds:list "$1" --format json | jq -r "$2"; }
# A build's program "sleep SECONDS" ends.
end_build_sleep() {
	local p
	for p in $(pgrep -xf "sleep $1"); do
		if grep -qs "berth-$BERTH_ID" "/proc/$p/cgroup"; then
			kill "$p"
			return
		fi
	done
	return 1
}
runs_slowly() { berth builds:output "$1" | grep -q 'building slowly'; }

@test "a build is cancelled at once: its push is refused, nothing of it stays" {
	building b-cancel 100
	push_behind push
	wait_for 60 runs_slowly b-cancel
	equal running "$(builds b-cancel '.[0].status')"
	local began
	began=$(now_ms)
	try berth builds:cancel b-cancel
	ok
	has 'of b-cancel is cancelled'
	local took=$(($(now_ms) - began))
	[ "$took" -lt 20000 ] || fail "it took $took ms" # the build takes 100 s
	! wait "$PUSH_PID" || fail "the push went through"
	grep -q 'cancelled' "$BATS_TEST_TMPDIR/push" || fail "$(cat "$BATS_TEST_TMPDIR/push")"
	equal cancelled "$(builds b-cancel '.[0].status')"
	equal 'null' "$(git ls-remote berth main | jq -R -s 'if . == "" then null else . end')"
	try berth builds:cancel b-cancel
	fails
	has 'no build of b-cancel is under way'
	# the next one is not disturbed
	sed -i 's/sleep 100/true/' Makefile
	commit faster
	pushed
	serves b-cancel 'page 1'
}

@test "a step that takes too long is stopped, and says what allows more" {
	building b-late 100
	berth apps:create b-late
	try berth builds:set b-late timeout 1000d
	fails
	has 'at most 1d'
	try berth builds:set b-late timeout 2s
	ok
	equal 2s "$(berth builds:report b-late --timeout)"
	push
	refuses
	has 'took longer than 2 s' 'builds:set'
	equal failed "$(builds b-late '.[0].status')"
}

@test "more builds than may run at once wait for their turn, and say so" {
	try berth builds:set --global parallel 0
	fails
	berth builds:set --global parallel 1
	building b-first '1003 || :' # until it is seen that the other one waits
	push_behind first
	local first=$PUSH_PID second
	wait_for 60 runs_slowly b-first
	building b-second 0
	push_behind second
	second=$PUSH_PID
	wait_for 60 grep -q 'Waiting for 1 other build' "$BATS_TEST_TMPDIR/second"
	wait_for 10 end_build_sleep 1003
	wait "$first" || fail "$(cat "$BATS_TEST_TMPDIR/first")"
	wait "$second" || fail "$(cat "$BATS_TEST_TMPDIR/second")"
	serves b-first 'page 1'
	serves b-second 'page 1'
	berth ps:rebuild b-second
	equal 'rebuild push' "$(builds b-second '[.[].what] | join(" ")')"
}

@test "a build's output cannot steer the terminal of whoever pushes; colours pass, and what is kept is what was shown" {
	building b-screen 0
	sed -i 's/@echo building slowly/@cat screen/' Makefile
	printf 'clear \033[2J\033[1;1H up \033[3A\033[K title \033]0;mine\007 clip \033]52;c;aGk=\033\\ back\b\b c1 \302\2332J eight \2332J\n' >screen
	printf '\033[31mred\033[0m and \033[1;32mgreen\nover\rwritten\n' >>screen
	commit screen
	git push berth HEAD:main >"$BATS_TEST_TMPDIR/push" 2>&1 </dev/null || fail "$(cat "$BATS_TEST_TMPDIR/push")"
	output=$(cat "$BATS_TEST_TMPDIR/push")
	has 'clear \x1b[2J\x1b[1;1H up \x1b[3A\x1b[K title \x1b]0;mine\x07 clip \x1b]52;c;aGk=\x1b\ back\x08\x08 c1 \xc2\x9b2J eight \x9b2J' \
		$'\e[31mred\e[0m and \e[1;32mgreen\e[0m'
	# git's own "clear to the end of the line" aside
	controls() { sed 's/\x1b\[K//g; s/\x1b\[[0-9;]*m//g' | LC_ALL=C tr -d '\n\r\t\40-\176\200-\377'; }
	equal '' "$(controls <"$BATS_TEST_TMPDIR/push" | od -An -tx1)"
	try berth builds:output b-screen
	has 'clear \x1b[2J' $'\e[31mred\e[0m and \e[1;32mgreen\e[0m'
	equal '' "$(controls <<<"$output" | od -An -tx1)"
	[ -n "$(printf 'a\eb' | controls)" ] # it would have been seen
}

@test "a buildpack sees the config, or what of it builds may see; no layer of ours has a value" {
	local canary=canary-$RANDOM$RANDOM$RANDOM
	touch "$BATS_TEST_TMPDIR/begin"
	building b-config 0
	sed -i 's,@echo building slowly,@for k in TOKEN OTHER; do echo "$$k has $$(cat /tmp/env/$$k 2>/dev/null | wc -c) bytes"; done; echo made-by-make >made,' Makefile
	commit look
	berth apps:create b-config
	berth config:set b-config TOKEN="$canary" OTHER=four >/dev/null
	pushed
	has "TOKEN has ${#canary} bytes" 'OTHER has 4 bytes'
	serves b-config 'page 1'
	local layers=() # of this build
	mapfile -t layers < <(find "$BERTH_STATE/layers" -mindepth 1 -maxdepth 1 -newer "$BATS_TEST_TMPDIR/begin")
	equal '' "$(traces "$canary" "${layers[@]}" "$BERTH_STATE/logs" "$BERTH_TEST/berthd.log")"
	[ -n "$(traces made-by-make "${layers[@]}")" ] # it would have been found
	berth builds:set b-config config OTHER
	commit 'see less'
	pushed
	has 'TOKEN has 0 bytes' 'OTHER has 4 bytes'
	berth builds:set --global config none
	berth builds:set b-config config ''
	commit 'see nothing'
	push
	berth builds:set --global config ''
	ok
	has 'TOKEN has 0 bytes' 'OTHER has 0 bytes'
}
