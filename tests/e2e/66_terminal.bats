# A person's terminal and signals with run and enter, and programs that run by themselves.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell inside

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app te-a
	git push -q berth HEAD:main 2>&3
}

# term ROWSxCOLS STEP... -- COMMAND...: see tests/lib/term.py
term() { try /usr/bin/python3 "$BERTH_SOURCE/tests/lib/term.py" "$@"; }

# The ways in; each is followed by the program's words.
ways=('berth run te-a --' 'berth enter te-a web.1 --')

@test "the window's size follows into the program" {
	local way
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2086 # words
		term 31x97 '?31 97' '#40x133' '?size 40 133' '!\x03' -- $way \
			sh -c 'trap "echo size \$(stty size)" WINCH; stty size; while :; do sleep 0.1; done'
		exits 130
	done
	term 31x97 '?31 97' '#40x133' '?size 40 133' '!\x03' -- ssh -tt -F "$SSH_CONFIG" berth run te-a -- \
		"sh -c 'trap \"echo size \\\$(stty size)\" WINCH; stty size; while :; do sleep 0.1; done'"
	exits 130
}

@test "the interrupt and quit keys reach the program, which may go on" {
	local way
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2086
		term 24x80 '?ready' '!\x03' '?interrupted' '!\x1c' '?asked to quit' -- $way \
			sh -c 'trap "echo interrupted" INT; trap "echo asked to quit; exit 9" QUIT; echo ready; while :; do sleep 0.1; done'
		exits 9
		# shellcheck disable=SC2086
		term 24x80 '?ready' '!\x1c' -- $way sh -c 'echo ready; exec sleep 30'
		exits 131
	done
	term 24x80 '?ready' '!\x03' '?interrupted' -- ssh -tt -F "$SSH_CONFIG" berth run te-a -- \
		"sh -c 'trap \"echo interrupted; exit 9\" INT; echo ready; while :; do sleep 0.1; done'"
	exits 9
}

@test "the stop key stops a job of the shell inside, not what relays the terminal" {
	local way
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2086 # numbers are said as sums: what was typed is shown, too
		term 24x80 '?shell' "!perl -e '\$| = 1; \$SIG{CONT} = sub { print 1000+54, \$/ }; print 1000+48, \$/; sleep 1 while 1'\\r" '?1048' '!\x1a' \
			'?Stopped' '!fg\r' '?1054' '!\x03' \
			'!echo $((40 + 2))\r' '?42' '!exit 6\r' -- $way bash --norc -ic 'PS1="shell> " exec bash --norc -i'
		exits 6
	done
	# a program without a shell above it takes no notice
	term 24x80 '?ready' '!\x1a' '!more\r' '?more' '!\x04' -- berth run te-a -- sh -c 'echo ready; exec cat'
	exits 0
}

@test "the end of input ends a program that reads, with a terminal and without" {
	local way
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2086
		term 24x80 '!line\r' '?line' '?line' '!\x04' -- $way cat
		exits 0
		# shellcheck disable=SC2086
		equal $'a\nb' "$(printf 'a\nb\n' | timeout 20 $way cat)"
	done
}

@test "signals to berth run reach the program; its status is berth's" {
	local way pid signal out=$BATS_TEST_TMPDIR/out
	for way in "${ways[@]}"; do
		for signal in TERM HUP INT USR1; do
			: >"$out"
			# shellcheck disable=SC2086
			$way sh -c "trap 'echo got $signal; exit 8' $signal; echo ready; while :; do sleep 0.1; done" \
				>"$out" 2>&1 </dev/null 3>&- &
			pid=$!
			wait_for 20 grep -q ready "$out"
			kill -s "$signal" "$pid"
			status=0
			wait "$pid" || status=$?
			exits 8
			grep -q "got $signal" "$out"
		done
	done
}

@test "a terminal that hangs up ends the program" {
	term 24x80 '?ready' '^' -- berth run te-a -- sh -c 'echo ready; exec sleep 4321'
	wait_for 20 no_sleeper
}
no_sleeper() { [ -z "$(app_pids te-a 'sleep 4321')" ]; }

@test "the terminal of the person is as it was, and a program's end leaves nothing to read it" {
	local before after
	term 24x80 '?end' -- bash -c 'stty -a; berth run te-a -- sh -c "stty raw -echo; exit 3"; echo status $?; stty -a; echo end'
	ok
	has 'status 3'
	before=$(tr -d '\r' <<<"$output" | sed -n '1,/status 3/p' | grep -v 'status 3')
	after=$(tr -d '\r' <<<"$output" | sed -n '/status 3/,/end/p' | grep -v -e 'status 3' -e '^end')
	equal "$before" "$after"
	# A child that stays behind has the sandbox's terminal, which is gone with the session.
	term 24x80 '?entered' '=1' '!typed later\r' '=1' -- bash -c 'berth enter te-a web.1 -- sh -c "
		(trap \"\" HUP; cat </dev/tty >/tmp/overheard 2>&1; echo ended >>/tmp/overheard) & sleep 2"; echo entered; read -r line; echo "mine: $line"'
	has 'mine: typed later'
	wait_for 20 overheard_all
	lacks typed
}
overheard_all() { inside te-a 'cat /tmp/overheard' && grep -q ended <<<"$output"; }

@test "a detached program's output is in the log, and its end too" {
	local name
	try berth run:detached te-a -- sh -c 'echo detached output; echo to stderr >&2; tty; sleep 1; exit 7'
	ok
	name=$output
	[[ $name == run.* ]]
	wait_for 20 logged te-a "app[$name]: detached output"
	wait_for 20 logged te-a "app[$name]: to stderr"
	wait_for 20 logged te-a "app[$name]: not a tty"
	wait_for 20 logged te-a "$name of v1 ended: exit status 7"
	# one that is stopped by its limit says so
	try berth run:detached te-a -- perl -e 'my @x; push @x, "x" x 1_000_000 while 1'
	ok
	wait_for 60 logged te-a "$output of v1 ended: out of memory"
	# while it runs it is listed
	try berth run:detached te-a -- sleep 5
	ok
	name=$output
	json ps:report te-a | grep -qF "\"$name\""
}
