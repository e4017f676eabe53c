# Backups: a host with five apps, volumes and a certificate goes into a folder and comes back, elsewhere and here; what is
# damaged is found out.

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	export BK=$BERTH_TEST/backup SECRET=$BERTH_TEST/backup.pass KEY=$BERTH_TEST/backup.key
	echo 'correct horse battery staple' >"$SECRET"
	head -c 32 /dev/urandom >"$KEY" # for most: a passphrase costs half a second each time
}
teardown_file() {
	rm -rf "$BK" "$BK".*
}
setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

backup() { # COMMAND ARGS…
	local command=$1
	shift
	try berth "backup:$command" "$@" --key "$KEY"
}
# A chunk of the first app's big file: it is written anew, and the backup after that has no other one as large.
a_chunk() {
	touch "$BK.before"
	berth enter k-1 web.1 sh -c 'head -c 8000000 /dev/urandom >/data/big'
	sleep 1.2 # a file that changed within the last second is read again by the backup after
	berth backup:create --to "$BK" --key "$KEY" >/dev/null 2>&1
	find "$BK/chunks" -type f -newer "$BK.before" -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2
}
flip() { # FILE OFFSET
	/usr/bin/python3 - "$1" "$2" <<-'END'
		import sys
		f = open(sys.argv[1], "r+b")
		f.seek(int(sys.argv[2]))
		b = f.read(1)[0]
		f.seek(int(sys.argv[2]))
		f.write(bytes([b ^ 1]))
	END
}
member() { /usr/bin/python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }

@test "backup: five apps, their volumes and a certificate, into a folder" {
	local n
	for n in 1 2 3 4 5; do
		app "k-$n"
		pushed
		berth config:set "k-$n" "WORD=word-$n" --no-restart >/dev/null
		berth volumes:create "k-data-$n" >/dev/null
		berth volumes:mount "k-$n" "k-data-$n:/data" >/dev/null
		berth enter "k-$n" web.1 sh -c "echo data-$n >/data/file; mkdir /data/d; ln /data/file /data/d/again; ln -s ../file /data/d/link"
	done
	berth enter k-1 web.1 sh -c 'head -c 8000000 /dev/urandom >/data/big'
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=k.tests.example \
		-addext subjectAltName=DNS:k.tests.example -addext basicConstraints=critical,CA:FALSE -keyout "$WORK/k.key" -out "$WORK/k.crt" 2>/dev/null
	berth domains:add k-1 k.tests.example
	berth certs:add k-1 "$WORK/k.crt" "$WORK/k.key"
	backup create --to "$BK/"
	ok
	has 'volume k-data-5' 'repo k-3' 'frozen for'
	[ "$(stat -c %a "$BK")" = 700 ]
	# Nothing of it can be read without the passphrase.
	! grep -rqaE 'word-1|data-1|BEGIN (EC )?PRIVATE' "$BK" || fail "it lies open"
	grep -rqaE 'data-1' "$BERTH_STATE/volumes" || fail 'that look finds nothing'
}

@test "backup: the second one costs what changed" {
	sleep 1.2 # a file that changed within the last second is read again
	backup create --to "$BK" --format json
	ok
	backup create --to "$BK" --format json
	ok
	local before
	printf '%s\n' "$output" | grep '^{' | /usr/bin/python3 "$BERTH_SOURCE/tests/lib/commands.py" schema backup:create
	before=$(printf '%s\n' "$output" | grep '^{' | member '["new_bytes"]')
	[ "$before" -lt 2000000 ] || fail "$before bytes for nothing: $output"
	berth enter k-1 web.1 sh -c 'printf X | dd of=/data/big bs=1 seek=4000000 conv=notrunc 2>/dev/null'
	# Folders deeper than a path can say: 20 of the 21 are kept.
	berth enter k-1 web.1 sh -c 'cd /data; n=$(printf %0200d 0); for i in $(seq 21); do mkdir $n && cd -P $n || exit; done'
	backup create --to "$BK" --format json
	ok
	has ' !     volume k-data-1: 1 thing is not in the backup: 000' 'volume k-data-1: 26 files, ' 'not read again, 8.0 MB read' 'its path is longer than 4095 bytes' 'volume k-data-2: 5 files, 5 of them not read again, 0 B read'
	[ "$(printf '%s\n' "$output" | grep '^{' | member '["new_bytes"]')" -lt $((before + 4500000)) ] || fail "$output"
	backup list "$BK" --format json
	equal 4 "$(printf '%s' "$output" | member '.__len__()')"
	printf '%s' "$output" | /usr/bin/python3 "$BERTH_SOURCE/tests/lib/commands.py" schema backup:list
}

@test "backup:verify: whole; another key, another passphrase are refused" {
	backup verify "$BK" --snapshot "$(ls "$BK/backups" | tail -n 1)"
	ok
	has 'things can be restored'
	head -c 32 /dev/urandom >"$KEY.wrong"
	try berth backup:verify "$BK" --key "$KEY.wrong"
	exits 1
	has 'this is not the key of the backup'
	try bash -c "ssh -F $SSH_CONFIG berth backup:create --app k-2 --to - --passphrase-file - <$SECRET >$BK.ssh"
	ok
	try berth backup:verify "$BK.ssh" --passphrase-file "$SECRET"
	ok
	echo wrong >"$SECRET.wrong"
	try berth backup:verify "$BK.ssh" --passphrase-file "$SECRET.wrong"
	exits 1
	has 'this is not the passphrase of the backup'
	try berth backup:create --to "$BK" --no-encryption
	exits 1
	has 'are encrypted'
}

@test "backup:drill: all of it, in a berth of its own" {
	TRY_SECONDS=100 backup drill "$BK"
	printf '%s\n' "$output" | grep -E 'sha256|rows|answers|proved' >&3
	ok
	has 'volume k-data-1: sha256' 'repo k-5: sha256' ' 0 differ' 'k-1 answers: status 200' 'k-5 answers: status 200' 'The drill proved'
	equal '' "$(find /var/lib /run -maxdepth 1 -name 'berth-drill.*')"
}

@test "backup: one app comes back under another name, with its data, config and certificate" {
	backup restore "$BK" --app k-1
	exits 1
	has 'there are already apps k-1' 'k-data-1' '--as NAME'
	backup restore "$BK"
	exits 1
	has 'this host has apps or volumes already'
	backup restore "$BK" --app k-2 --as k-back
	ok
	serves k-back "$(page k-2)"
	equal word-2 "$(berth config:get k-back WORD)"
	equal data-2 "$(berth enter k-back web.1 cat /data/d/link)"
	equal 2 "$(berth enter k-back web.1 stat -c %h /data/file)"
	# Its repository is one: it can be fetched and pushed to.
	rm -rf "$WORK/k-back.git"
	git -C "$WORK" clone -q berth:k-back k-back.git
	cd "$WORK/k-back.git"
	git commit -q --allow-empty -m again
	try git push origin HEAD:main
	ok
}

@test "backup: flipped bits, missing chunks, streams that end early or are in another order" {
	local chunk header
	chunk=$(a_chunk)
	flip "$chunk" 2000
	backup verify "$BK"
	exits 1
	has 'volume k-data-1: big:' 'is damaged' 'things are whole'
	rm "$chunk"
	backup verify "$BK"
	exits 1
	has 'volume k-data-1: big:' 'No such file'
	# The next backup has it again: the file is read, though it is as it was.
	backup create --to "$BK"
	ok
	backup verify "$BK"
	ok
	flip "$BK/berth-backup" 60
	backup verify "$BK"
	exits 1
	has 'the header is damaged'
	flip "$BK/berth-backup" 60

	# A stream.
	berth backup:create --app k-2 --to - --key "$KEY" >"$BK.stream" 2>/dev/null
	backup verify "$BK.stream"
	ok
	local size at
	size=$(stat -c %s "$BK.stream")
	for at in 200 $((size / 2)) $((size - 5)); do
		cp "$BK.stream" "$BK.bad"
		flip "$BK.bad" "$at"
		backup verify "$BK.bad"
		exits 1
		head -c "$at" "$BK.stream" >"$BK.bad"
		backup verify "$BK.bad"
		exits 1
	done
	has 'cut off'
}

@test "backup: killed in the middle, the next one is whole; a restore that is cut off leaves nothing" {
	local pid n
	for n in 1 2 3 4 5; do # again where it was over before that was seen
		rm -rf "$BK.new"
		berth backup:create --to "$BK.new/" --key "$KEY" >/dev/null 2>&1 &
		pid=$!
		until has_chunks || not_running "$pid"; do sleep 0.01; done
		kill -9 "$pid" 2>/dev/null || :
		wait "$pid" || :
		[ ! -e "$BK.new/running" ] || break
	done
	[ -e "$BK.new/running" ] || fail 'it was over already'
	has_chunks
	# One of its chunks came to the disk empty, as after a power cut.
	: >"$(find "$BK.new/chunks" -type f | head -n 1)"
	backup create --to "$BK.new"
	ok
	backup verify "$BK.new"
	ok
	# Cut off at several moments: then it is not there at all; perhaps once it was quicker than that.
	local after cut=0
	for after in 0.05 0.15 0.3; do
		berth backup:restore "$BK.new" --app k-1 --as k-cut --key "$KEY" >/dev/null 2>&1 &
		pid=$!
		sleep "$after"
		if kill -9 "$pid" 2>/dev/null; then cut=$((cut + 1)); fi
		wait "$pid" || :
		wait_for 10 no_rest || fail "$(berth volumes:list)"
		wait_for 10 free_again || fail 'the restore goes on'
		[ -z "$(berth volumes:list | grep k-cut)" ] || berth apps:destroy k-cut --force --volumes destroy >/dev/null
	done
	[ "$cut" -gt 0 ] || fail 'no restore was cut off'
	backup restore "$BK.new" --app k-1 --as k-cut
	ok
	serves k-cut "$(page k-1)"
	equal data-1 "$(berth enter k-cut web.1 cat /data/file)"
}
has_chunks() { [ "$(find "$BK.new/chunks" -type f 2>/dev/null | wc -l)" -gt 3 ]; }
free_again() { ! berth backup:restore "$BK.new" --app none --key "$KEY" 2>&1 | grep -q 'is under way'; }
no_rest() { ! berth volumes:list | grep -q restore; }
