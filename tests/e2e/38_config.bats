# Config: files of it and back, its past, what one process type sees, and how it lies on the disk.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}
teardown() {
	[ ! -e "$BATS_TEST_TMPDIR/key" ] || cp -p "$BATS_TEST_TMPDIR/key" "$BERTH_STATE/secret.key"
}

# Awkward bytes, and whether they reach the app unchanged.
plant() {
	berth config:set cfg --no-restart "QUOTES=it's \"so\" \`and\` \$HOME \\n" 'SPACE=  a b  ' EMPTY= 'HASH=a #b' \
		$'LINES=-----BEGIN-----\nab=\r\ncd\n-----END-----\n' $'RAW=\xff\xfe\x01' 'UTF=ümläut' >/dev/null
}

@test "what is exported is imported as the same bytes, as shell lines, dotenv and JSON" {
	app cfg
	pushed
	plant
	local want format
	want=$(berth config:show cfg --format json | sha256sum)
	for format in dotenv json; do
		berth config:export cfg --format $format >"$BATS_TEST_TMPDIR/$format"
		berth config:clear cfg --no-restart
		equal '{}' "$(berth config:show cfg --format json)"
		berth config:import cfg "$BATS_TEST_TMPDIR/$format" --format $format --no-restart
		equal "$want" "$(berth config:show cfg --format json | sha256sum)"
	done
	# a shell reads the same
	(
		eval "$(berth config:export cfg)"
		printf '%s|' "$QUOTES" "$SPACE" "$EMPTY" "$HASH" "$LINES" "$RAW" >"$BATS_TEST_TMPDIR/shell"
	)
	for key in QUOTES SPACE EMPTY HASH LINES RAW; do
		berth config:get cfg $key | head -c -1
		printf '|'
	done >"$BATS_TEST_TMPDIR/got"
	cmp "$BATS_TEST_TMPDIR/shell" "$BATS_TEST_TMPDIR/got"
	# and the app: one release makes all of it hold
	berth config:set cfg DONE=1
	inside cfg 'printf "%s|" "$QUOTES" "$SPACE" "$EMPTY" "$HASH" | sha256sum'
	equal "$(printf '%s|' "it's \"so\" \`and\` \$HOME \\n" '  a b  ' '' 'a #b' | sha256sum)" "$output"
	inside cfg 'printf "%s" "$RAW" | od -An -tx1'
	equal ' ff fe 01' "$output"
}

@test "a file with one wrong line changes nothing, and the line is named" {
	local before
	before=$(berth config:show cfg --format json)
	try bash -c 'printf "NEW=1\n\nBAD LINE\n" | berth config:import cfg -'
	exits 1
	has 'line 3' 'nothing was changed'
	try bash -c 'printf "{\"NEW\": \"1\",\n\"B\": 2}" | berth config:import cfg - --format json'
	exits 1
	has '"B"'
	try bash -c 'printf "NEW=1\nPORT=3000\n" | berth config:import cfg -'
	exits 2
	has 'PORT cannot be set'
	try bash -c 'head -c 70000 /dev/zero | tr "\0" x | sed "s/^/NEW=1\nBIG=/" | berth config:import cfg -'
	exits 2
	has 'at most 65536'
	equal "$before" "$(berth config:show cfg --format json)"
	# over ssh a file comes in, and no file of the host is read
	run remote config:import cfg /etc/hostname </dev/null
	exits 2
	has 'use -'
	printf '\xef\xbb\xbfexport NEW="a\\nb" # why\r\n' | remote config:import cfg - --no-restart
	equal $'a\nb' "$(berth config:get cfg NEW)"
}

@test "a process type has values of its own; so do one-offs" {
	printf 'web: exec perl serve.pl\nworker: while :; do echo "worker has $WHO"; sleep 1; done\n' >"$WORK/cfg/Procfile"
	cd "$WORK/cfg"
	commit types
	berth config:set cfg WHO=all --no-restart
	berth config:set cfg --process-type worker WHO=worker --no-restart
	berth config:set cfg --process-type run WHO=run --no-restart
	pushed
	berth ps:scale cfg worker=1
	inside cfg 'echo $WHO'
	equal all "$output"
	wait_for 5 bash -c 'berth logs cfg -p worker | grep -q "worker has worker"'
	equal run "$(berth run cfg -- sh -c 'echo $WHO')"
	equal worker "$(berth run cfg --type worker -- sh -c 'echo $WHO')"
	equal worker "$(berth config:get cfg WHO --process-type worker)"
	run berth config:show cfg
	has 'WHO:    all' 'env vars of worker' 'WHO: worker' 'env vars of run'
	berth config:unset cfg --process-type worker WHO --no-restart
	equal all "$(berth config:get cfg WHO)"
	try berth config:get cfg WHO --process-type worker
	exits 1
	berth ps:scale cfg worker=0
}

@test "history names keys, not values; rollback brings a release's config to the image that runs" {
	local first
	cd "$WORK/cfg"
	berth config:set cfg SECRET=hunter2 OLD=1
	first=$(release_of cfg)
	printf s3cret | berth config:set cfg SECRET --stdin
	page_is 'newer code'
	pushed
	berth config:unset cfg OLD
	try berth config:history cfg
	ok
	has "v$first" OLD SECRET
	lacks hunter2
	try berth config:history cfg --values
	has 'SECRET=hunter2' 'SECRET=s3cret' 'unset OLD'
	equal '["OLD","SECRET"]' "$(json config:history cfg | jq -c "[.[] | select(.version == $first)][0].set")"
	try berth config:rollback cfg "v$first"
	ok
	has 'Set OLD, SECRET'
	equal hunter2 "$(berth config:get cfg SECRET)"
	serves cfg 'newer code'
	inside cfg 'echo $SECRET $OLD'
	equal 'hunter2 1' "$output"
	try berth config:rollback cfg "v$first"
	has 'no change'
	try berth config:rollback cfg v999
	exits 1
	has 'no release v999' 'berth releases'
}

# hangs COMMAND…: in the background, up to where its release waits for an instance that never answers.
hangs() {
	"$@" >"$BATS_TEST_TMPDIR/hangs" 2>&1 3>&- &
	HANGS=$!
	wait_for 10 hanging
}
hanging() { [ -n "$(app_pids cfg-two 'sleep 1000')" ]; }
back() { [ "$(page cfg-two)" = "$(cat page.txt)" ]; }
# queued KEY: a change to KEY in the background, up to where it waits for its turn.
queued() {
	berth config:set cfg-two "$1=1" >"$BATS_TEST_TMPDIR/queued" 2>&1 3>&- &
	QUEUED=$!
	wait_for 5 grep -q Waiting "$BATS_TEST_TMPDIR/queued"
}

@test "what fails takes back nothing but its own: what others store meanwhile stays, and who waited gets what was asked" {
	app cfg-two
	echo 'web: [ "$X" != bad ] || exec sleep 1000; exec perl serve.pl' >Procfile
	commit hangs
	pushed
	berth config:set cfg-two EARLIER=1 --no-restart
	hangs "$BERTH_PREFIX/bin/berth" config:set cfg-two X=bad MINE=1
	equal '{"EARLIER":"1"}' "$(json config:show cfg-two | jq -c .)"
	berth config:set cfg-two MINE=theirs --no-restart
	queued Y
	kill "$HANGS"
	wait "$QUEUED"
	equal '{"EARLIER":"1","MINE":"theirs","Y":"1"}' "$(json config:show cfg-two | jq -Sc .)"
	inside cfg-two 'echo $X $EARLIER $MINE $Y'
	equal '1 theirs 1' "$output"
	# a push
	commit another
	hangs git push -o config.X=bad berth HEAD:main
	berth config:set cfg-two LATER=1 --no-restart
	queued Z
	berth builds:cancel cfg-two
	wait "$QUEUED"
	equal '{"EARLIER":"1","LATER":"1","MINE":"theirs","Y":"1","Z":"1"}' "$(json config:show cfg-two | jq -Sc .)"
	inside cfg-two 'echo $X $LATER $Z'
	equal '1 1' "$output"
	# a mount: the config is none of its business
	berth volumes:create cfg-two-data
	berth config:set cfg-two X=bad --no-restart
	hangs "$BERTH_PREFIX/bin/berth" volumes:mount cfg-two cfg-two-data /app/data
	kill "$HANGS"
	wait_for 10 back
	equal bad "$(berth config:get cfg-two X)"
	berth apps:destroy cfg-two --force
	berth volumes:destroy cfg-two-data --force
}

@test "a rollback whose config cannot be stored is refused, code and config are as before" {
	app cfg-back
	pushed
	berth config:set cfg-back STEP=one
	berth config:set cfg-back STEP=two
	sql() { sqlite3 -cmd '.timeout 5000' "$BERTH_STATE/control/berth.db" "$1"; }
	sql "CREATE TRIGGER full BEFORE INSERT ON config BEGIN SELECT RAISE(ABORT, 'full'); END"
	try berth rollback cfg-back v2
	sql 'DROP TRIGGER full'
	exits 1
	has 'record the switch' 'v3 is still serving'
	equal '3 two' "$(release_of cfg-back) $(berth config:get cfg-back STEP)"
	inside cfg-back 'echo $STEP'
	equal two "$output"
	try berth rollback cfg-back v2
	ok
	equal '5 one' "$(release_of cfg-back) $(berth config:get cfg-back STEP)"
	berth apps:destroy cfg-back --force
}

@test "events are followed as they come: who, what, with what, and how it ended" {
	timeout 60 "$BERTH_PREFIX/bin/berth" events cfg -t --format json >"$BATS_TEST_TMPDIR/events" 2>&1 3>&- &
	local follower=$!
	wait_for 5 grep -q config:rollback "$BATS_TEST_TMPDIR/events"
	remote config:set cfg WATCHED=planted-value --no-restart
	try berth config:set cfg PORT=1
	exits 2
	came() { jq -se --arg w "$1" --arg o "$2" 'any(.[]; .what == $w and (.outcome | startswith($o)))' "$BATS_TEST_TMPDIR/events"; }
	wait_for 2 came config:set 'refused: PORT'
	equal '["tester","set=WATCHED restart=false","ok"]' \
		"$(jq -c 'select(.detail | contains("WATCHED")) | [.who, .detail, .outcome]' "$BATS_TEST_TMPDIR/events")"
	grep -q planted-value "$BATS_TEST_TMPDIR/events" && fail 'a value is in an event'
	# what ends for good is told, by berth
	printf 'web: exec perl serve.pl\nonce: exit 7\n' >"$WORK/cfg/Procfile"
	cd "$WORK/cfg"
	commit once
	pushed
	berth ps:set cfg restart-policy.once never
	berth ps:scale cfg once=1 || :
	wait_for 10 came ps:ended 'once.1'
	kill "$follower"
	try berth events cfg -n 3 --since 1h
	ok
	equal 4 "$(wc -l <<<"$output")"
	berth ps:scale cfg once=0
}

@test "a refused push and a destroyed app are in the trail" {
	app cfg-gone
	printf 'web: exit 3\n' >Procfile
	commit broken
	push
	refuses
	berth apps:destroy cfg-gone --force
	run json events cfg-gone
	equal '["apps:destroy ok","git:push failed:","apps:create ok"]' \
		"$(jq -c '[limit(3; .[] | select(.who != "berth")) | .what + " " + (.outcome | split(" ")[0])]' <<<"$output")"
}

# database_has TEXT: somewhere in the database, its log or a copy.
database_has() { grep -rqaF -- "$1" "$BERTH_STATE/control"; }

@test "no config value lies open in the database, its log or its copies" {
	berth config:set cfg --no-restart PLANTED=qZ7-planted-in-the-config >/dev/null
	database_has qZ7-planted-in-the-config && fail "a value lies open"
	database_has PLANTED # the same search finds names
	equal qZ7-planted-in-the-config "$(berth config:get cfg PLANTED)"
	equal '600 0 32' "$(stat -c '%a %u %s' "$BERTH_STATE/secret.key")"
	try setpriv --reuid _berth --clear-groups cat "$BERTH_STATE/secret.key"
	exits 1
	has 'Permission denied'
}

@test "with another key berth says which one is missing, apps go on, and the right one makes it work again" {
	cp -p "$BERTH_STATE/secret.key" "$BATS_TEST_TMPDIR/key"
	head -c 32 /dev/urandom >"$BERTH_STATE/secret.key"
	kill "$(control_pid)"
	refused() { timeout 5 berth status 2>&1 | grep -q 'secret.key'; }
	wait_for 10 refused
	serves cfg 'newer code'
	run remote status
	exits 1
	has 'cannot use its database'
	lacks "$BERTH_STATE"
	cp -p "$BATS_TEST_TMPDIR/key" "$BERTH_STATE/secret.key"
	kill "$(control_pid)"
	wait_for 20 berth_answers
	equal qZ7-planted-in-the-config "$(berth config:get cfg PLANTED)"
}
