# A canary: an older or a newer release beside the live one, for a share of the new clients.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	for n in 1 2 3; do printf 'page %d\n' "$n" >"$BATS_TEST_TMPDIR/$n"; done
}
teardown() { [ -z "${LOAD_PID:-}" ] || kill "$LOAD_PID" 2>/dev/null || :; }

# two APP: v1 serves "page 1", v2, the live one, "page 2".
two() {
	app "$1"
	page_is 'page 1'
	pushed
	page_is 'page 2'
	pushed
	serves "$1" 'page 2'
}
# begin APP [vN] [SHARE]
begin() {
	try berth releases:canary "$1" "${2:-v1}" "${3:-50%}"
	ok
}
# clients APP N: what N new clients get, counted by page.
clients() {
	local n
	for ((n = 0; n < $2; n++)); do printf 'url = "%s"\n' "$(url "/?$n")"; done >"$BATS_TEST_TMPDIR/urls"
	curl -sS --max-time 60 -H "Host: $1.localhost" -K "$BATS_TEST_TMPDIR/urls" | sort | uniq -c | awk '{ printf "%s%s=%s", sep, $3, $1; sep = " " }'
}
# cookie APP PAGE: of a client that gets that page.
cookie() {
	local n head
	for ((n = 0; n < 200; n++)); do
		head=$(curl -sS --max-time 20 -i -H "Host: $1.localhost" "$(url)" | tr -d '\r')
		case $head in *"page $2") sed -n 's/^[Ss]et-[Cc]ookie: \(berth_canary=[0-9a-f]*\);.*/\1/p' <<<"$head" && return ;; esac
	done
	fail "nobody gets page $2"
}
as() { curl -sS --max-time 20 -H "Host: $1.localhost" -H "Cookie: $2" "$(url)"; }
# stays APP COOKIE PAGE
stays() {
	local n
	for n in 1 2 3 4 5 6 7 8; do equal "page $3" "$(as "$1" "$2")"; done
}
between() { [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
is_page() { [ "$(as "$1" "$2")" = "page $3" ]; }
# instances APP: name, release and state of each.
instances() { json ps:report "$1" | jq -r '[.instances[] | "\(.name)/v\(.release)/\(.state)"] | join(" ")'; }
instances_are() { [ "$(instances "$1")" = "$2" ]; }
parents_are() { [ "$(app_parents "$1" | wc -l)" = "$2" ]; }
status_of() { json releases "$1" | jq -r ".[] | select(.version == $2) | .status"; }

@test "a canary gets its share of the new clients, who stay with it, until a deploy ends it" {
	local got one two three
	two c-one
	try berth releases:canary c-one v1 20%
	ok
	has 'Starting v1 beside v2' 'v1 gets 20 % of the new clients, v2 the others' 'berth rollback c-one v1' '--off'
	wait_for 10 instances_are c-one 'web.1/v2/running web.101/v1/running'
	got=$(clients c-one 300)
	echo "# 20 % of 300: $got" >&3
	one=${got#1=} one=${one%% *}
	between 25 "$one" 95 # 60, five standard deviations
	one=$(cookie c-one 1) two=$(cookie c-one 2)
	stays c-one "$one" 1
	stays c-one "$two" 2
	# what shows it
	equal canary "$(status_of c-one 1)"
	equal live "$(status_of c-one 2)"
	try berth releases c-one
	has 'canary 20%'
	equal 'v1, 20%' "$(berth apps:report c-one --canary)"
	equal '{"release":1,"percent":20,"instances":1}' "$(json releases:canary c-one | jq -c .)"
	try berth ps:report c-one
	has 'canary: v1 gets 20 % of the new clients, v2 the others'
	equal '2 of 2' "$(berth ps:report | awk '$1 == "c-one" { print $4, $5, $6 }')"
	equal ok "$(json events --app c-one | jq -r '[.[] | select(.what == "releases:canary")][0].outcome')"
	wait_for 5 logged c-one 'instance=web.101'
	try berth enter c-one web.101 cat page.txt
	has 'page 1'
	# another share is for new clients
	begin c-one v1 90%
	lacks Starting
	stays c-one "$one" 1
	stays c-one "$two" 2
	got=$(clients c-one 100)
	one=${got#1=} one=${one%% *}
	between 70 "$one" 99
	one=$(cookie c-one 1)
	page_is 'page 3'
	pushed
	has 'the canary, v1, ends'
	stays c-one "$one" 3
	stays c-one "$two" 3
	equal 3=40 "$(clients c-one 40)"
	equal '' "$(curl -sSi -H "Host: c-one.localhost" "$(url)" | grep -i '^set-cookie' || :)"
	wait_for 10 instances_are c-one 'web.1/v3/running'
	wait_for 10 parents_are c-one 1
	equal superseded "$(status_of c-one 1)"
	equal '{"release":null,"percent":null,"instances":null}' "$(json releases:canary c-one | jq -c .)"
	wait_for 5 logged c-one 'canary: v1 ends'
	database_sound
}

@test "beginning, replacing, ending and promoting a canary lose no request" {
	two c-load
	page_is 'page 3'
	pushed
	berth ps:scale c-load web=2
	load_start c-load --expect "$BATS_TEST_TMPDIR/1" --expect "$BATS_TEST_TMPDIR/2" --expect "$BATS_TEST_TMPDIR/3" --pause-ms 5
	begin c-load v1 50%
	begin c-load v2 10%
	wait_for 10 instances_are c-load 'web.1/v3/running web.2/v3/running web.101/v2/running'
	begin c-load v1 60% # of two, rounded up
	wait_for 10 instances_are c-load 'web.1/v3/running web.2/v3/running web.101/v1/running web.102/v1/running'
	try berth ps:restart c-load
	ok
	wait_for 10 parents_are c-load 4
	wait_for 10 instances_are c-load 'web.1/v3/running web.2/v3/running web.101/v1/running web.102/v1/running'
	begin c-load v1 50% # one of them goes
	wait_for 10 parents_are c-load 3
	try berth releases:canary c-load --off
	ok
	has 'All clients go to v3; v1 ends'
	wait_for 10 parents_are c-load 2
	equal 3=20 "$(clients c-load 20)"
	begin c-load v1 10%
	try berth rollback c-load v1
	ok
	wait_for 10 instances_are c-load 'web.1/v4/running web.2/v4/running'
	equal 1=20 "$(clients c-load 20)"
	load_stop 'canaries under load'
	wait_for 10 parents_are c-load 2
}

longer() { [ "$(wc -l <"$1")" -gt "$2" ]; }

@test "what still runs at a canary that ends goes on until it is through" {
	two c-drain
	begin c-drain
	local pid n stream=$BATS_TEST_TMPDIR/events
	curl -sN -H 'Host: c-drain.localhost' -H "Cookie: $(cookie c-drain 1)" "$(url /events)" >"$stream" 3>&- &
	pid=$!
	wait_for 5 grep -q 'data: 2' "$stream"
	try berth releases:canary c-drain --off
	ok
	equal 'web.1/v2/running web.101/v1/stopping' "$(instances c-drain)"
	n=$(wc -l <"$stream")
	wait_for 5 longer "$stream" "$n"
	equal 2=20 "$(clients c-drain 20)"
	kill "$pid"
	wait_for 10 parents_are c-drain 1
}

@test "a canary has the config of its release, and web processes only" {
	app c-conf
	printf 'web: exec perl serve.pl\nworker: exec sleep 54991\n' >Procfile
	commit worker
	berth apps:create c-conf
	berth config:set c-conf COLOUR=red
	page_is 'page 1'
	pushed
	berth ps:scale c-conf worker=1
	page_is 'page 2'
	pushed -o config.COLOUR=blue berth HEAD:main
	begin c-conf
	wait_for 10 parents_are c-conf 2
	local p colours
	colours=$(for p in $(app_parents c-conf); do tr '\0' '\n' <"/proc/$p/environ" | grep -E '^(COLOUR|BERTH_RELEASE|DYNO)=' | sort | tr '\n' ' '; echo; done | sort)
	equal 'BERTH_RELEASE=v1 COLOUR=red DYNO=web.101 ' "$(head -n 1 <<<"$colours")"
	equal 'BERTH_RELEASE=v2 COLOUR=blue DYNO=web.1 ' "$(tail -n 1 <<<"$colours")"
	equal 'v1 red web.101' "$(berth enter c-conf web.101 sh -c 'echo "$BERTH_RELEASE $COLOUR $DYNO"')"
	equal 1 "$(app_pids c-conf 'sleep 54991' | wc -l)"
	equal blue "$(berth config:get c-conf COLOUR)"
	berth ps:scale c-conf worker=0
}

# refused TEXT… : the last try was, and nothing changed.
refused() {
	exits 1
	has "$@"
}

@test "what cannot be a canary is refused with the next step" {
	berth apps:destroy c-none --force >/dev/null 2>&1 || :
	berth apps:create c-none
	try berth releases:canary c-none v1 10%
	refused 'no release v1'
	two c-bad
	try berth releases:canary c-bad --off
	refused 'c-bad has no canary'
	try berth releases:canary c-bad v2 10%
	refused 'v2 is what c-bad runs now'
	try berth releases:canary c-bad v9 10%
	refused 'no release v9' 'berth releases c-bad'
	try berth releases:canary c-bad v1 0%
	exits 2
	has '1 to 99 per cent' '--off'
	try berth releases:canary c-bad v1 100%
	exits 2
	has 'berth rollback c-bad v1'
	try berth releases:canary c-bad v1
	exits 2
	printf 'web: exit 3\n' >Procfile
	commit bad
	push
	refuses
	try berth releases:canary c-bad v3 10%
	refused 'v3 of c-bad failed and never served'
	berth ps:sleep c-bad
	try berth releases:canary c-bad v1 10%
	refused 'c-bad is asleep' 'berth ps:wake c-bad'
	berth ps:stop c-bad
	try berth releases:canary c-bad v1 10%
	refused 'c-bad is stopped' 'berth ps:start c-bad'
	berth ps:start c-bad
	berth ps:scale c-bad web=0
	try berth releases:canary c-bad v1 10%
	refused 'has no web instance' 'berth ps:scale c-bad web=1'
	berth ps:scale c-bad web=1
	berth apps:lock c-bad
	try berth releases:canary c-bad v1 10%
	refused locked
	berth apps:unlock c-bad
	# an image that is no longer kept
	sqlite3 -cmd '.timeout 5000' "$BERTH_STATE/control/berth.db" "update image set layers='[999999]' where id=(select image from release
		where version=1 and app=(select id from app where name='c-bad'))"
	try berth releases:canary c-bad v1 10%
	refused 'the image of v1 is no longer kept' 'push its commit'
	equal 'web.1/v2/running' "$(instances c-bad)"
	berth volumes:create c-bad-data >/dev/null 2>&1 || :
	berth volumes:mount c-bad c-bad-data /data
	try berth releases:canary c-bad v2 10%
	refused 'has a writable volume' 'berth ps:set c-bad overlap on'
	berth ps:set c-bad overlap on
	begin c-bad v2 # the same, allowed
	berth apps:destroy c-bad --force
	parents_are c-bad 0
}

@test "a canary that does not start changes nothing, also not the one before it" {
	two c-fail
	printf 'web: test -z "$BROKEN" || exit 4; exec perl serve.pl\n' >Procfile
	page_is 'page 3'
	pushed
	begin c-fail v1
	local mine
	mine=$(cookie c-fail 1)
	try berth config:set c-fail BROKEN=1
	fails
	lacks 'the canary'
	stays c-fail "$mine" 1
	# a release that served once and starts no more: v2 gets an image with another command
	sqlite3 -cmd '.timeout 5000' "$BERTH_STATE/control/berth.db" "insert into image(app, layers, processes, env, pack, profile_d, checks, commit_id, created_us, config)
		select i.app, layers, json_object('web', 'exit 4'), env, pack, profile_d, checks, commit_id, i.created_us, i.config from image i
			join release r on r.image=i.id join app a on a.id=r.app where a.name='c-fail' and r.version=3;
		update release set image=(select max(id) from image) where version=2 and app=(select id from app where name='c-fail')"
	try berth releases:canary c-fail v2 10%
	fails
	has 'exit status 4'
	stays c-fail "$mine" 1
	equal 'v1, 50%' "$(berth apps:report c-fail --canary)"
	wait_for 10 instances_are c-fail 'web.1/v3/running web.101/v1/running'
}

@test "when its instance crashes everybody gets the live release, and nobody an error, until it is back" {
	two c-crash
	begin c-crash
	local mine p all
	mine=$(cookie c-crash 1)
	for p in $(app_parents c-crash); do
		! tr '\0' '\n' <"/proc/$p/environ" | grep -qx BERTH_RELEASE=v1 || kill -9 "$p"
	done
	all=$(for _ in $(seq 15); do as c-crash "$mine"; clients c-crash 10; echo; done)
	equal '' "$(grep -vE '^page [12]$|^([12]=[0-9]+ ?)+$' <<<"$all" || :)"
	wait_for 10 is_page c-crash "$mine" 1
	stays c-crash "$mine" 1
	equal '1' "$(json ps:report c-crash | jq '.instances[] | select(.name == "web.101") | .restarts')"
	# one that stays away: the live release answers for it
	berth ps:set c-crash restart-policy never
	for p in $(app_parents c-crash); do
		! tr '\0' '\n' <"/proc/$p/environ" | grep -qx BERTH_RELEASE=v1 || kill -9 "$p"
	done
	wait_for 10 parents_are c-crash 1
	stays c-crash "$mine" 2
	equal 2=20 "$(clients c-crash 20)"
	berth ps:set c-crash restart-policy ''
	try berth ps:restart c-crash
	ok
	stays c-crash "$mine" 1
}

@test "stop and start, sleep and waking, and scaling take the canary along" {
	two c-ps
	begin c-ps
	local mine how
	mine=$(cookie c-ps 1)
	berth ps:stop c-ps
	parents_are c-ps 0
	berth ps:start c-ps
	stays c-ps "$mine" 1
	for how in stop freeze; do
		berth ps:set c-ps sleep "$how"
		try berth ps:sleep c-ps
		ok
		if [ "$how" = stop ]; then parents_are c-ps 0; fi
		equal 2 "$(json ps:report c-ps | jq '[.instances[] | select(.state == "asleep" or .state == "frozen")] | length')"
		serves_any c-ps
		wait_for 10 is_page c-ps "$mine" 1
		stays c-ps "$mine" 1
		wait_for 10 instances_are c-ps 'web.1/v2/running web.101/v1/running'
	done
	berth ps:scale c-ps web=3
	wait_for 10 instances_are c-ps 'web.1/v2/running web.2/v2/running web.3/v2/running web.101/v1/running web.102/v1/running'
	berth ps:scale c-ps web=1
	wait_for 10 instances_are c-ps 'web.1/v2/running web.101/v1/running'
	berth ps:scale c-ps web=0
	wait_for 10 parents_are c-ps 0
	berth ps:scale c-ps web=1
	stays c-ps "$mine" 1
	wait_for 10 parents_are c-ps 2
}
serves_any() { fetch "$1.localhost" | grep -qx 'page [12]'; }

answers_again() { berth releases c-kill >/dev/null 2>&1 && is_page c-kill "$1" 1 && serves_any c-kill; }

@test "restarts of berth's programs and of the host keep it" {
	two c-kill
	begin c-kill
	local mine theirs before
	mine=$(cookie c-kill 1) theirs=$(cookie c-kill 2)
	before=$(app_parents c-kill | sort)
	kill -9 "$(control_pid)"
	wait_for 10 answers_again "$mine"
	kill -9 "$(worker_pid)"
	wait_for 10 answers_again "$mine"
	# shellcheck disable=SC2046 # words
	kill -9 $(program_pids berth-router)
	wait_for 10 answers_again "$mine"
	equal "$before" "$(app_parents c-kill | sort)"
	stays c-kill "$mine" 1
	stays c-kill "$theirs" 2
	power_cut
	berthd_start
	wait_for 30 answers_again "$mine"
	wait_for 30 instances_are c-kill 'web.1/v2/running web.101/v1/running'
	stays c-kill "$mine" 1
	stays c-kill "$theirs" 2
	equal 'v1, 50%' "$(berth apps:report c-kill --canary)"
	try berth releases:canary c-kill --off
	ok
	stays c-kill "$mine" 2
	wait_for 10 parents_are c-kill 1
}
