# Snapshots of volumes, releases with their data, volumes as archives.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

# The newest snapshot of a volume, or a member of it.
newest() { json volumes:snapshots "$1" | jq -r ".snapshots[0].${2:-id}"; }
n_snapshots() { json volumes:snapshots "$1" | jq '.snapshots | length'; }
# What app $1 has in the file $2.
holds() {
	inside "$1" "cat $2"
	equal "$3" "$output"
}
volume_folder() { printf '%s/volumes/%016x' "$BERTH_STATE" "$(json volumes:list | jq -r --arg n "$1" '.[] | select(.name == $n) | .id')"; }
# All of a volume as words: names, kinds, modes, contents.
words_of() { (cd "$(volume_folder "$1")" && find . -printf '%P %y %m %l\n' -type f -exec sha256sum {} + | sort); }

@test "a snapshot of what runs holds it for a moment, and a restore brings all of it back" {
	app snap
	pushed
	lacks 'snapshot'
	berth volumes:create snap-data >/dev/null
	berth volumes:mount snap snap-data:/data >/dev/null
	inside snap 'cd /data && echo one >text && mkdir -p d/e && ln -s ../text d/e/link && ln text d/hard && head -c 3000000 /dev/urandom >big &&
		chmod 700 d && : >empty'
	before=$(words_of snap-data)
	try berth volumes:snapshot snap-data --message 'all is well'
	ok
	has 'Taking a snapshot of snap-data' 'held for'
	first=$(newest snap-data)
	equal 'all is well' "$(newest snap-data message)"
	equal true "$(newest snap-data | jq -R 'startswith("s")')"
	equal true "$(json volumes:snapshots snap-data | jq '.snapshots[0] | .held_ms > 0 and .held_ms < 5000 and .files == 3 and .bytes >= 3000000')"
	inside snap 'echo two >/data/text; rm -r /data/d; echo new >/data/new; printf x | dd of=/data/big bs=1 seek=1500000 conv=notrunc 2>/dev/null'
	try berth volumes:restore snap-data "$first" --force
	fails
	has 'snap runs with snap-data' 'berth ps:stop snap'
	berth ps:stop snap >/dev/null
	try berth volumes:restore snap-data "$first"
	exits 2
	has 'replaces what is in the volume' '--force'
	try berth volumes:restore snap-data "$first" --force
	ok
	has 'files written' 'what it was before is s'
	equal "$before" "$(words_of snap-data)"
	equal restore "$(newest snap-data why)"
	# and that one undoes it
	try berth volumes:restore snap-data "$(newest snap-data)" --force
	ok
	berth ps:start snap >/dev/null
	holds snap /data/text two
	holds snap /data/new new
	try berth volumes:restore snap-data s99999 --force
	fails
	has 'has no snapshot s99999' 'volumes:snapshots snap-data'
}

@test "a second snapshot costs what changed" {
	inside snap 'head -c 8000000 /dev/urandom >/data/large'
	berth volumes:snapshot snap-data >/dev/null
	inside snap 'printf y | dd of=/data/large bs=1 seek=5000000 conv=notrunc 2>/dev/null'
	berth volumes:snapshot snap-data >/dev/null
	equal true "$(json volumes:snapshots snap-data | jq '.snapshots[0].added_bytes < 1500000')"
	berth volumes:snapshot snap-data >/dev/null
	berth volumes:snapshot snap-data >/dev/null
	equal true "$(json volumes:snapshots snap-data | jq '.snapshots[0].added_bytes < 100000')"
}

@test "each release leaves its data behind, and a rollback takes them along when asked" {
	cd "$WORK/snap" || return
	inside snap 'echo of-before >/data/text'
	old=$(release_of snap)
	page_is newer
	pushed
	has "snap-data as it was with v$old is s"
	equal "snap v$old" "$(newest snap-data of)"
	inside snap 'echo of-after >/data/text; echo more >/data/more'
	try berth rollback snap "v$old"
	ok
	holds snap /data/text of-after
	# not under the feet of a program beside the app
	berth run:detached snap -- sleep 60
	try berth rollback snap "v$old" --with-data
	exits 1
	has 'run.1 of snap runs with snap-data' 'run:stop snap run.1'
	holds snap /data/text of-after
	berth run:stop snap run.1
	try berth rollback snap "v$old" --with-data
	ok
	has 'snap-data is restored to s' 'berth volumes:restore snap-data s' 'undoes that'
	holds snap /data/text of-before
	inside snap 'ls /data/more'
	[ "$status" -ne 0 ]
	# the state before the rollback is there
	undo=$(newest snap-data)
	equal rollback "$(newest snap-data why)"
	berth ps:stop snap >/dev/null
	berth volumes:restore snap-data "$undo" --force >/dev/null
	berth ps:start snap >/dev/null
	holds snap /data/text of-after
}

@test "a rollback with data that fails leaves code and data as they were" {
	cd "$WORK/snap" || return
	# one that does not start with its data
	inside snap 'echo yes >/data/start'
	echo 'web: grep -qx yes /data/start && exec perl serve.pl' >Procfile
	commit 'needs yes'
	pushed
	bad=$(release_of snap)
	inside snap 'echo no >/data/start'
	echo 'web: exec perl serve.pl' >Procfile
	commit 'needs nothing'
	pushed
	live=$(release_of snap)
	inside snap 'echo yes >/data/start; echo precious >/data/text; rm -f /data/more'
	before=$(words_of snap-data)
	try berth rollback snap "v$bad" --with-data
	fails
	has "v$live is still serving"
	equal "$before" "$(words_of snap-data)"
	equal "$live" "$(release_of snap)"
	holds snap /data/text precious
}

@test "an archive goes over ssh and comes back, whole or not at all" {
	inside snap 'echo exported >/data/text'
	expected=$(words_of snap-data)
	remote volumes:export snap-data >"$BATS_TEST_TMPDIR/x"
	berth volumes:create snap-copy >/dev/null
	run remote volumes:import snap-copy - <"$BATS_TEST_TMPDIR/x"
	ok
	has 'Importing 6 files into snap-copy'
	equal "$expected" "$(words_of snap-copy)"
	zstd -dqc "$BATS_TEST_TMPDIR/x" | tar -t >/dev/null
	try berth volumes:import snap-copy "$BATS_TEST_TMPDIR/x"
	fails
	has 'snap-copy holds' '--force replaces them'
	# cut off, and changed
	size=$(stat -c %s "$BATS_TEST_TMPDIR/x")
	head -c $((size / 2)) "$BATS_TEST_TMPDIR/x" >"$BATS_TEST_TMPDIR/cut"
	cp "$BATS_TEST_TMPDIR/x" "$BATS_TEST_TMPDIR/bad"
	printf '\125\252' | dd of="$BATS_TEST_TMPDIR/bad" bs=1 seek=$((size / 3)) conv=notrunc 2>/dev/null
	for f in cut bad; do
		try berth volumes:import snap-copy "$BATS_TEST_TMPDIR/$f" --force
		fails
		equal "$expected" "$(words_of snap-copy)"
	done
	# a stranger's
	tar -C /etc -cf "$BATS_TEST_TMPDIR/tar" hostname
	try berth volumes:import snap-copy "$BATS_TEST_TMPDIR/tar" --force
	fails
	has 'no checksum'
	tar -C / -cf "$BATS_TEST_TMPDIR/tar" --transform 's,^,../../,' -P /etc/hostname
	try berth volumes:import snap-copy "$BATS_TEST_TMPDIR/tar" --force --unverified
	fails
	has 'refused'
	try with_half_tar berth volumes:import snap-copy "$BERTH_SOURCE/cli" --force --unverified
	exits 1
	has 'could not read all'
	equal "$expected" "$(words_of snap-copy)"
	try berth volumes:import snap-data "$BATS_TEST_TMPDIR/x" --force
	fails
	has 'snap runs with snap-data'
}

@test "old snapshots go, those of kept releases stay, and they can be switched off" {
	berth volumes:set snap-copy keep 2
	for i in 1 2 3 4; do berth volumes:snapshot snap-copy --message "$i" >/dev/null; done
	wait_for 10 eval '[ "$(n_snapshots snap-copy)" = 2 ]'
	equal 4 "$(newest snap-copy message)"
	berth volumes:set snap-data keep 1
	wait_for 10 eval '[ "$(json volumes:snapshots snap-data | jq "[.snapshots[] | select(.why == \"manual\")] | length")" = 0 ]'
	equal true "$(json volumes:snapshots snap-data | jq '[.snapshots[] | select(.of != "")] | length > 1')"
	berth volumes:set snap-data snapshots off
	cd "$WORK/snap" || return
	old=$(release_of snap)
	page_is unseen
	pushed
	lacks 'snap-data as it was'
	try berth rollback snap "v$old" --with-data
	fails
	has "there is no snapshot of snap-data from when v$old"
	try berth volumes:set snap-data keep none
	exits 2
	try berth volumes:set snap-data colour red
	exits 2
	has 'keep, keep-days and snapshots'
}

@test "control killed while an app is held: the app goes on, and nothing of the snapshot is left" {
	inside snap 'head -c 60000000 /dev/urandom >/data/much'
	n=$(n_snapshots snap-data)
	berth volumes:snapshot snap-data >/dev/null 2>&1 &
	asked=$!
	sleep 0.3
	kill -9 "$(control_pid)"
	wait "$asked" || :
	wait_for 20 serves snap unseen
	wait_for 20 eval 'json volumes:snapshots snap-data >/dev/null'
	berth volumes:snapshot snap-data >/dev/null
	[ "$(n_snapshots snap-data)" -le $((n + 2)) ]
	database_sound
}

@test "a restore that was interrupted is undone at the next start, and nothing runs with the volume before that is recorded" {
	local pages
	rows() { sqlite3 -cmd '.timeout 5000' "$BERTH_STATE/control/berth.db" "$1"; }
	undo() { rows "$1 volume_snapshots $2 WHERE volume=(SELECT id FROM volume WHERE name='snap-data')"; }
	berth ps:set snap sleep stop
	berth ps:set snap restart-policy never
	berth ps:sleep snap >/dev/null
	wait_for 5 eval '[ -z "$(app_pids snap serve.pl)" ]'
	berth volumes:snapshot snap-data >/dev/null
	id=$(newest snap-data)
	before=$(words_of snap-data)
	# as it is in the middle of one
	echo half >"$(volume_folder snap-data)/text"
	undo update "SET undo=${id#s}"
	rows "CREATE TRIGGER no_room BEFORE UPDATE OF undo ON volume_snapshots WHEN NEW.undo=0 BEGIN SELECT RAISE(FAIL, 'no room'); END"
	kill -9 "$(control_pid)"
	berth ps:start snap >"$BATS_TEST_TMPDIR/start" 2>&1 &
	asked=$!
	wait_for 20 grep -q 'Waiting: another operation on this app' "$BATS_TEST_TMPDIR/start"
	wait_for 20 eval '[ "$before" = "$(words_of snap-data)" ]'
	page snap >"$BATS_TEST_TMPDIR/page" & # it is asleep, and wakes when that is over
	pages=$!
	# nor does what takes no app's lock
	try berth run snap true
	exits 125
	has 'what snap-data holds is being replaced'
	rows 'DROP TRIGGER no_room'
	wait "$asked"
	wait "$pages"
	equal unseen "$(cat "$BATS_TEST_TMPDIR/page")"
	equal 0 "$(undo 'SELECT undo FROM' '')"
	serves snap unseen
	berth run snap true
	equal 0 "$(grep -c 'is half restored' "$BERTH_TEST/berthd.log")"
}

@test "a volume's snapshots are counted with it and go with it" {
	id=$(volume_folder snap-data)
	id=${id##*/}
	[ -d "$BERTH_STATE/snapshots/$id" ]
	equal true "$(json disk:report | jq '.host.snapshot_bytes > 1000000')"
	berth apps:destroy snap --force >/dev/null
	[ "$(n_snapshots snap-data)" -gt 0 ]
	try berth volumes:destroy snap-data --force
	ok
	wait_for 10 eval "[ ! -e '$BERTH_STATE/snapshots/$id' ]"
	berth volumes:destroy snap-copy --force >/dev/null
}
