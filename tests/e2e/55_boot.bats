# Power cuts, and the death of berthd with many instances: all come back, or never noticed.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	printf 'page 1\n' >"$BATS_TEST_TMPDIR/1"
}

state_of() { json apps:list | jq -r --arg a "$1" '.[] | select(.name == $a) | .state'; }
reason_of() { json ps:report "$1" | jq -r '.instances[0].reason'; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }

# many FIRST LAST: the static site as apps boot-FIRST … boot-LAST.
many() {
	local n
	app boot static-site
	for ((n = $1; n <= $2; n++)); do
		git push -q "shared:boot-$n" HEAD:main >/dev/null 2>&1 || return 1
	done
}
all_serve() {
	local n
	for ((n = $1; n <= $2; n++)); do
		[ "$(code_of "boot-$n.localhost")" = 200 ] || return 1
	done
}

# moody APP: serves; after `echo MOOD >/data/mood` its next start is deaf, or dies.
moody() {
	app "$1"
	# shellcheck disable=SC2016 # for the app's shell
	printf 'web: case $(cat /data/mood) in deaf) exec sleep 1000;; dies) exit 3;; esac; exec perl serve.pl\n' >Procfile
	commit moody
	berth apps:create "$1"
	berth volumes:create "$1-data"
	berth volumes:mount "$1" "$1-data:/data"
	pushed
	inside "$1" "echo $2 >/data/mood"
}

@test "after a power cut all apps come back, those that fail hold up nobody, what was stopped stays stopped" {
	local began log
	many 1 20
	berth ps:stop boot-7
	moody boot-deaf deaf
	berth checks:set boot-deaf timeout 2
	moody boot-dies dies
	wait_for 10 all_serve 8 20
	power_cut
	log=$(wc -l <"$BERTH_TEST/berthd.log")
	began=$(now_ms)
	berthd_start
	wait_for 60 all_serve 8 20
	wait_for 5 all_serve 1 6
	printf '# %d instances at once, all apps that can serve do after %d ms\n' \
		"$(json status | jq .instances)" "$(($(now_ms) - began))" >&3
	equal stopped "$(state_of boot-7)"
	equal 503 "$(code_of boot-7.localhost)"
	equal '' "$(app_pids boot-7 static)"
	# of the two that fail, one is still looked at, the other has been given a pause
	wait_for 20 dies_told
	wait_for 20 told "$log" '[0-9]+ of [0-9]+ instances are back after .* s; some failed'
	wait_for 5 deaf_told
	# once each
	for n in 1 6 8 20; do equal 1 "$(app_pids "boot-$n" berth-static | wc -l)"; done
	berth apps:destroy boot-deaf --force
	berth apps:destroy boot-dies --force
}
dies_told() { [ "$(reason_of boot-dies)" = 'exit status 3' ]; }
deaf_told() { reason_of boot-deaf | grep -qF 'no listener on $PORT=5000 within 2 s'; }
told() { tail -n "+$1" "$BERTH_TEST/berthd.log" | grep -qE "$2"; }

no_more_programs_than() { [ "$(program_pids berth | wc -l)" -le "$1" ]; }
settled() { [ "$(json status | jq .starting)" = 0 ]; }

@test "berthd's two processes killed at once with many instances: none is started again" {
	local before after began programs
	berth ps:scale boot-1 web=25
	wait_for 60 settled
	before=$(processes boot-)
	programs=$(program_pids berth | wc -l)
	[ "$(wc -l <<<"$before")" -ge 43 ]
	kill -9 "$(monitor_pid)" "$(worker_pid)"
	began=$(now_ms)
	berthd_start
	wait_for 20 all_serve 1 6
	printf '# %d instances adopted, serving again after %d ms\n' "$(wc -l <<<"$before")" "$(($(now_ms) - began))" >&3
	sleep 1
	after=$(processes boot-)
	diff <(echo "$before") <(echo "$after")
	# and of the programs before none is left
	wait_for 5 no_more_programs_than "$programs"
	equal 25 "$(json ps:report boot-1 | jq '[.instances[] | select(.state == "running")] | length')"
	berth ps:scale boot-1 web=1
	seq 1 20 | xargs -P 8 -I N berth apps:destroy boot-N --force
}

@test "an app that ends while all of berth is killed: its last words are in the log" {
	app boot-words
	pushed
	berth run:detached boot-words -- sh -c 'sleep 1; echo last words of mine' >/dev/null
	kill -9 "$(monitor_pid)" "$(worker_pid)"
	wait_for 5 has_ended
	berthd_start
	wait_for 10 said_last
}
# All that is left of it is its berth-init.
has_ended() { [ -z "$(app_pids boot-words sleep)" ]; }
said_last() { berth logs boot-words | grep -q 'run\.[0-9]*\]: last words of mine'; }

