# Apps that sleep: stopped or frozen until somebody asks, by order or because nobody did for a while; woken by the request
# that comes, of which none is lost.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
	printf 'page 2\n' >"$BATS_TEST_TMPDIR/2"
}
teardown() {
	[ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :
	exec 9>&- || :
}

live() {
	app "$1"
	pushed
	serves "$1" 'page 1'
}
# asleep APP stop|freeze: it is live, and put to sleep that way.
asleep() {
	live "$1"
	try berth ps:set "$1" sleep "$2"
	ok
	try berth ps:sleep "$1"
	ok
}
state_of() { json apps:report "$1" | jq -r .state; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
instance_of() { json ps:report "$1" | jq -r ".instances[] | select(.name == \"${2:-web.1}\") | [.state, .reason] | join(\" \")"; }
count_is() { [ "$(app_parents "$1" "${2:-serve.pl}" | wc -l)" = "$3" ]; }
logged_times() { berth logs "$1" -n 10000 | grep -cF -- "$2" || :; }
# first_byte APP: milliseconds until the first byte of its page.
first_byte() {
	curl -sS --max-time 20 -o /dev/null -w '%{time_starttransfer}\n' -H "Host: $1.localhost" "$(url)" | awk '{ printf "%.1f", $1 * 1000 }'
}
# One that runs does ticks; one that is frozen does none.
ticks() { berth logs "$1" -n 100000 -p web | grep -c ': tick ' || :; }

stands_still() {
	local n
	n=$(ticks "$1")
	sleep 0.5
	[ "$(ticks "$1")" = "$n" ]
}

@test "ps:sleep stops an app, a request starts it: the same release, no new one" {
	asleep z-stop stop
	has 'Putting z-stop to sleep' 'stopped: the next request starts it'
	equal asleep "$(state_of z-stop)"
	equal 'asleep ps:sleep' "$(instance_of z-stop)"
	count_is z-stop serve.pl 0
	try berth ps:sleep z-stop
	ok
	has 'sleeps already'
	serves z-stop 'page 1'
	equal running "$(state_of z-stop)"
	equal 1 "$(release_of z-stop)"
	serves z-stop 'page 1'
	wait_for 5 logged z-stop 'asleep (stopped): ps:sleep'
	wait_for 5 logged z-stop 'waking: a request came in'
	try json events --app z-stop
	equal '["ok","ok","a request came in"]' "$(jq -c '[.[] | select(.what == "ps:sleep" or .what == "ps:wake") | .outcome][0:3] | reverse' <<<"$output")"
}

@test "ps:wake starts it without a request; stopped and never deployed apps do not sleep" {
	asleep z-wake stop
	try berth ps:wake z-wake
	ok
	has 'Waking z-wake'
	count_is z-wake serve.pl 1
	try berth ps:wake z-wake
	ok
	has 'is awake'
	berth ps:stop z-wake
	try berth ps:sleep z-wake
	exits 1
	has 'is stopped'
	try berth ps:wake z-wake
	exits 1
	has 'berth ps:start z-wake'
	equal 503 "$(code_of z-wake.localhost)"
	berth apps:destroy z-none --force >/dev/null 2>&1 || :
	berth apps:create z-none
	try berth ps:sleep z-none
	exits 1
	try berth ps:set z-wake idle-after soon
	exits 2
	has 'such as 90s, 15m or 2h'
	try berth ps:set z-wake sleep deep
	exits 2
}

@test "a frozen app does nothing, and goes on where it was" {
	live z-freeze
	berth config:set z-freeze TICK_MS=5
	wait_for 10 tick_reached z-freeze 20
	local before during
	wait_for 10 count_is z-freeze serve.pl 1 # the old release's instance goes in the background
	before=$(app_parents z-freeze)
	berth ps:set z-freeze sleep freeze
	try berth ps:sleep z-freeze
	ok
	has 'frozen: with the next request it goes on'
	equal 'frozen ps:sleep' "$(instance_of z-freeze)"
	equal frozen "$(state_of z-freeze)"
	wait_for 10 stands_still z-freeze
	during=$(ticks z-freeze)
	serves z-freeze 'page 1'
	equal "$before" "$(app_parents z-freeze)"
	wait_for 10 tick_reached z-freeze $((during + 20))
	ticks_whole z-freeze
	wait_for 5 state_is z-freeze running
	equal 'running ' "$(instance_of z-freeze)"
}

@test "the first byte of an awake, a frozen and a stopped app" {
	local i awake frozen stopped
	live z-first
	awake=() frozen=() stopped=()
	for i in 1 2 3 4 5; do
		awake+=("$(first_byte z-first)")
		berth ps:set z-first sleep freeze >/dev/null
		berth ps:sleep z-first >/dev/null
		frozen+=("$(first_byte z-first)")
		wait_for 5 state_is z-first running
		berth ps:set z-first sleep stop >/dev/null
		berth ps:sleep z-first >/dev/null
		stopped+=("$(first_byte z-first)")
		wait_for 5 state_is z-first running
	done
	echo "# first byte, ms: awake ${awake[*]}, frozen ${frozen[*]}, stopped ${stopped[*]}" >&3
	# generous: the figures are the benchmark's to judge
	[ "$(printf '%.0f' "${frozen[4]}")" -lt 5000 ] && [ "$(printf '%.0f' "${stopped[4]}")" -lt 10000 ]
}

@test "an app that nobody asks for sleeps, and reports since when and why" {
	live z-idle
	berth ps:set z-idle sleep stop
	try berth ps:set z-idle idle-after 4s
	ok
	equal 4s "$(berth ps:report z-idle --idle-after)"
	wait_for 10 state_is z-idle asleep
	has_since=$(json ps:report z-idle | jq -r '.instances[0] | .state + " " + .reason + " " + (.since | test("^20..-") | tostring)')
	equal 'asleep no request for 4 s true' "$has_since"
	try json events --app z-idle
	equal '"no request for 4 s"' "$(jq -c '[.[] | select(.what == "ps:sleep" and .who == "berth")][0].outcome' <<<"$output")"
	serves z-idle 'page 1'
	equal running "$(state_of z-idle)"
	wait_for 10 state_is z-idle asleep
	# frozen instead
	berth ps:set z-idle sleep freeze
	serves z-idle 'page 1'
	wait_for 10 state_is z-idle frozen
	serves z-idle 'page 1'
	wait_for 5 state_is z-idle running
	# steady requests keep it awake, and so does nothing else once it may not sleep any more
	for _ in $(seq 8); do
		serves z-idle 'page 1'
		sleep 0.7
		equal running "$(state_of z-idle)"
	done
	berth ps:set z-idle idle-after ''
	sleep 5
	equal running "$(state_of z-idle)"
}

@test "requests that come together wake it once, and none is lost" {
	local i asking
	for how in stop freeze; do
		asleep "z-many-$how" $how
		asking=()
		for i in $(seq 30); do
			curl -sS --max-time 30 -H "Host: z-many-$how.localhost" "$(url)" >"$BATS_TEST_TMPDIR/$how.$i" 3>&- &
			asking+=($!)
		done
		wait "${asking[@]}" # not for all: the clock of the test's own time limit is a child too
		equal 30 "$(cat "$BATS_TEST_TMPDIR/$how".* | grep -cFx 'page 1')"
		wait_for 5 logged "z-many-$how" 'awake after'
		equal 1 "$(logged_times z-many-$how 'waking: a request came in')"
		count_is "z-many-$how" serve.pl 1
	done
}

# naps APP SECONDS: puts it to sleep as often as it can while load_start's requests go on; both counts are printed.
naps() {
	local end=$(($(now_ms) + $2 * 1000)) slept=0 stayed=0
	while [ "$(now_ms)" -lt "$end" ] || { [ "$slept" -le 3 ] && [ "$(now_ms)" -lt $((end + 60000)) ]; }; do
		if berth ps:sleep "$1" >/dev/null 2>&1; then slept=$((slept + 1)); else stayed=$((stayed + 1)); fi
	done
	echo "# $1: asleep $slept times, stayed awake $stayed times" >&3
	[ "$slept" -gt 3 ]
}

@test "falling asleep again and again under load loses no request, stopped" {
	live z-load
	berth ps:set z-load sleep stop
	load_start z-load --expect "$BATS_TEST_TMPDIR/1" --pause-ms 120
	naps z-load 4
	load_stop 'stopped under load'
}

@test "falling asleep again and again under load loses no request, frozen" {
	live z-loadf
	berth ps:set z-loadf sleep freeze
	local before
	before=$(app_parents z-loadf)
	load_start z-loadf --expect "$BATS_TEST_TMPDIR/1" --pause-ms 60
	naps z-loadf 4
	load_stop 'frozen under load'
	equal "$before" "$(app_parents z-loadf)"
}

@test "an open WebSocket and somebody inside keep an app awake" {
	live z-open
	berth ps:set z-open sleep freeze
	websocket z-open
	berth ps:set z-open idle-after 1s
	sleep 1.8
	equal running "$(state_of z-open)"
	echoes
	try berth ps:sleep z-open
	exits 1
	has 'requests or WebSockets open'
	echoes
	serves z-open 'page 1'
	exec 9>&-
	wait_for 10 state_is z-open frozen
	berth ps:set z-open idle-after ''
	# entering wakes it, and it stays awake meanwhile
	berth enter z-open web.1 sleep 8 3>&- &
	local inside=$!
	wait_for 5 state_is z-open running
	sleep 0.3
	try berth ps:sleep z-open
	exits 1
	has 'somebody is in one of its instances'
	wait $inside
	wait_for 5 berth ps:sleep z-open
	berth ps:set z-open sleep stop
	serves z-open 'page 1'
	wait_for 5 berth ps:sleep z-open # once it has said that it is awake
	try berth enter z-open web.1 cat page.txt
	ok
	has 'page 1'
}

webs_run() { [ "$(json ps:report "$1" | jq '[.instances[] | select(.type == "web" and .state == "running")] | length')" = "$2" ]; }

@test "workers go on while the web processes sleep" {
	app z-work
	printf 'web: exec perl serve.pl\nworker: exec sleep 54777\n' >Procfile
	commit worker
	pushed
	berth ps:scale z-work web=2 worker=1
	local worker
	wait_for 5 count_is z-work 'sleep 54777' 1
	worker=$(app_pids z-work 'sleep 54777')
	berth ps:set z-work sleep stop
	berth ps:sleep z-work
	count_is z-work serve.pl 0
	equal "$worker" "$(app_pids z-work 'sleep 54777')"
	equal asleep "$(state_of z-work)"
	equal 2 "$(json ps:report z-work | jq '[.instances[] | select(.state == "asleep")] | length')"
	# scaling counts from the wake on
	try berth ps:scale z-work web=3 worker=2
	ok
	count_is z-work serve.pl 0
	wait_for 5 count_is z-work 'sleep 54777' 2
	serves z-work 'page 1'
	wait_for 10 count_is z-work serve.pl 3
	wait_for 10 webs_run z-work 3
	# all are frozen, and all go on
	berth ps:set z-work sleep freeze
	berth ps:sleep z-work
	equal 3 "$(json ps:report z-work | jq '[.instances[] | select(.state == "frozen")] | length')"
	equal 2 "$(json ps:report z-work | jq '[.instances[] | select(.type == "worker" and .state == "running")] | length')"
	berth ps:scale z-work web=2
	equal frozen "$(state_of z-work)"
	wait_for 10 count_is z-work serve.pl 2
	serves z-work 'page 1'
	wait_for 5 state_is z-work running
}

@test "a deploy, a config change, a restart and a start leave an app awake; a stop stays one" {
	local how
	for how in stop freeze; do
		asleep "z-ops-$how" $how
		page_is 'page 2'
		pushed
		equal running "$(state_of z-ops-$how)"
		serves "z-ops-$how" 'page 2'
		berth ps:sleep "z-ops-$how"
		try berth config:set "z-ops-$how" COLOUR=blue
		ok
		equal running "$(state_of z-ops-$how)"
		berth ps:sleep "z-ops-$how"
		try berth rollback "z-ops-$how" v1
		ok
		serves "z-ops-$how" 'page 1'
		berth ps:sleep "z-ops-$how"
		try berth ps:restart "z-ops-$how"
		ok
		equal running "$(state_of z-ops-$how)"
		berth ps:sleep "z-ops-$how"
		try berth ps:start "z-ops-$how"
		ok
		equal running "$(state_of z-ops-$how)"
		berth ps:sleep "z-ops-$how"
		# what needs no instance leaves it asleep
		try berth resource:limit "z-ops-$how" --memory 256M
		ok
		try berth run "z-ops-$how" cat page.txt
		ok
		has 'page 1'
		[ "$(state_of z-ops-$how)" != running ]
		# a push that fails leaves it asleep, and what slept serves
		printf 'web: exit 3\n' >Procfile
		commit fails
		push
		refuses
		has "z-ops-$how sleeps, at v4"
		[ "$(state_of z-ops-$how)" != running ]
		serves "z-ops-$how" 'page 1'
		wait_for 5 berth ps:sleep "z-ops-$how"
		try berth ps:stop "z-ops-$how"
		ok
		equal stopped "$(state_of z-ops-$how)"
		wait_for 10 count_is "z-ops-$how" serve.pl 0
		equal 503 "$(code_of z-ops-$how.localhost)"
		try berth ps:start "z-ops-$how"
		ok
		serves "z-ops-$how" 'page 1'
		berth ps:sleep "z-ops-$how"
		try berth apps:destroy "z-ops-$how" --force
		ok
		count_is "z-ops-$how" serve.pl 0
	done
}

@test "an app with a volume sleeps, and is deployed and woken without meeting itself" {
	app z-vol
	berth apps:create z-vol
	berth volumes:destroy z-data --force >/dev/null 2>&1 || : # of a run before, with TESTS_KEEP
	berth volumes:create z-data
	berth volumes:mount z-vol z-data:/data
	printf 'web: mkdir /data/lock || exit 7; trap "rmdir /data/lock; exit" TERM; perl serve.pl & wait\n' >Procfile
	commit lock
	pushed
	local how
	for how in stop freeze; do
		berth ps:set z-vol sleep $how
		try berth ps:sleep z-vol
		ok
		serves z-vol 'page 1'
		wait_for 5 berth ps:sleep z-vol
		page_is "page 1"
		pushed
		serves z-vol 'page 1'
	done
	# a request in the middle of its stopping waits for the end
	berth ps:set z-vol sleep stop
	berth ps:sleep z-vol >/dev/null 3>&- &
	local stopping=$!
	sleep 0.1
	serves z-vol 'page 1'
	wait $stopping || : # the request may have turned it back
	equal 0 "$(logged_times z-vol 'exit status 7')"
	berth apps:destroy z-vol --force
}

@test "an app that does not come up is told to those who wait, and says why" {
	live z-bad
	printf 'web: test -e /data/bad && exit 3; exec perl serve.pl\n' >Procfile
	commit bad
	berth volumes:destroy z-bad-data --force >/dev/null 2>&1 || :
	berth volumes:create z-bad-data
	berth volumes:mount z-bad z-bad-data /data
	pushed
	inside z-bad 'touch /data/bad'
	berth ps:set z-bad sleep stop
	berth ps:sleep z-bad
	local began
	began=$(now_ms)
	equal 503 "$(code_of z-bad.localhost)"
	echo "# told after $(($(now_ms) - began)) ms" >&3
	wait_for 5 logged z-bad 'code=H10'
	wait_for 5 logged z-bad 'z-bad did not wake: exit status 3'
	[ "$(state_of z-bad)" != asleep ]
	try berth ps:report z-bad
	has 'exit status 3'
	berth apps:destroy z-bad --force
}

# Each program in turn dies while two apps sleep; both are as before, and wake.
survives() {
	local name=$1 pid
	shift
	asleep "$name-s" stop
	asleep "$name-f" freeze
	pid=$(app_parents "$name-f")
	"$@"
	wait_for 5 berth_answers
	equal asleep "$(state_of "$name-s")"
	equal frozen "$(state_of "$name-f")"
	equal frozen "$(instance_of "$name-f" | cut -d' ' -f1)"
	serves "$name-f" 'page 1'
	equal "$pid" "$(app_parents "$name-f")"
	serves "$name-s" 'page 1'
	wait_for 5 state_is "$name-f" running
	# and awake they sleep again
	try berth ps:sleep "$name-f"
	ok
	try berth ps:sleep "$name-s"
	ok
	database_sound
}
kill_program() {
	local pid
	for pid in $(program_pids "$1"); do
		kill -9 "$pid"
		wait_for 5 not_running "$pid"
	done
}
new_worker() { [ -n "$(worker_pid)" ] && [ "$(worker_pid)" != "$1" ]; }
kill_worker() {
	local pid
	pid=$(worker_pid)
	kill -9 "$pid"
	wait_for 5 new_worker "$pid"
}
kill_monitor() {
	local pid
	pid=$(monitor_pid)
	kill -9 "$pid"
	wait_for 5 new_worker "$pid"
}
restart_all() {
	"$BERTH_PREFIX/sbin/berthd" --stop --state "$BERTH_STATE" --run "$BERTH_RUN" >>"$BERTH_TEST/berthd.log" 2>&1
	berthd_start
}

@test "berth-control killed while apps sleep" {
	survives z-kc kill_program berth-control
}
@test "the routers killed while apps sleep" {
	survives z-kr kill_program berth-router
}
@test "berthd's worker killed while apps sleep" {
	survives z-kw kill_worker
}
@test "berthd's monitor killed while apps sleep" {
	survives z-km kill_monitor
}
@test "berthd stopped and started while apps sleep" {
	survives z-ka restart_all
}

@test "a frozen app is woken without control, which learns of it later" {
	asleep z-alone freeze
	local pid
	pid=$(control_pid)
	kill -STOP "$pid"
	serves z-alone 'page 1'
	kill -9 "$pid"
	wait_for 5 not_running "$pid"
	wait_for 5 berth_answers
	wait_for 5 state_is z-alone running
	serves z-alone 'page 1'
}

@test "programs killed while apps fall asleep and wake: none stays unreachable" {
	local how program round pid going
	for how in stop freeze; do
		live "z-mid-$how"
		berth ps:set "z-mid-$how" sleep $how
	done
	for program in berth-control berth-router worker; do
		for round in 1 2 3 4; do
			going=()
			for how in stop freeze; do
				berth ps:sleep "z-mid-$how" >/dev/null 2>&1 3>&- &
				going+=($!)
			done
			sleep "0.0$((round * 15 % 10))$round"
			[ $((round % 2)) = 0 ] || { curl -s -o /dev/null --max-time 5 -H 'Host: z-mid-stop.localhost' "$(url)" 3>&- & going+=($!); }
			if [ $program = worker ]; then kill_worker; else kill_program $program; fi
			wait "${going[@]}" || : # some were struck by the kill
			wait_for 5 berth_answers
			for how in stop freeze; do
				wait_for 10 answers z-mid-$how || fail "$program, round $round: z-mid-$how is gone: $(berth ps:report z-mid-$how)" \
					"$(berth logs z-mid-$how -n 20)"
			done
		done
	done
	for how in stop freeze; do
		wait_for 10 count_is "z-mid-$how" serve.pl 1
		wait_for 5 state_is "z-mid-$how" running
	done
	database_sound
}
answers() { [ "$(curl -sS --max-time 5 -H "Host: $1.localhost" "$(url)" 2>/dev/null)" = 'page 1' ]; }

@test "a stop of everything ends frozen apps, which sleep afterwards" {
	asleep z-boot freeze
	berthd_stop
	berthd_start
	equal asleep "$(state_of z-boot)"
	count_is z-boot serve.pl 0
	wait_for 20 serves z-boot 'page 1' # all other apps start, too
	equal running "$(state_of z-boot)"
}
