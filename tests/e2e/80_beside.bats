# A second berth beside the first, its state on a small disk of its own, which then is filled up.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

fill_up() { # leaves the given number of kB free
	local free
	free=$(df -k --output=avail "$BERTH_STATE" | tail -n 1)
	fallocate -l "$((free - $1))K" "$BERTH_STATE/filler"
}

second_berth() {
	local first_port=$BERTH_PORT
	BERTH_PREFIX_GIVEN=$BERTH_PREFIX
	BERTH_DISK_MB=900
	trap 'berth_down' EXIT
	berth_up debian-12 >"$BATS_TEST_TMPDIR/up" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/up")"

	app beside
	page_is 'page of the second berth'
	pushed
	serves beside 'page of the second berth'
	[ "$BERTH_PORT" != "$first_port" ]
	equal 'page 1' "$(curl -sS -H 'Host: beside.localhost' "http://127.0.0.1:$first_port/")"
	equal beside "$(json apps:list | jq -r '.[].name')"

	printf '# two berths served side by side; now the disk of the second is filled\n' >&3
	local before layers
	before=$(release_of beside)
	layers=$(find "$BERTH_STATE/layers" -mindepth 1 -maxdepth 1 | wc -l)
	head -c 30000000 /dev/urandom >big.bin
	commit big
	fill_up 20000 # git has no room for the objects
	push
	refuses
	has 'space left'
	serves beside 'page of the second berth'
	rm "$BERTH_STATE/filler"
	fill_up 48000 # the objects fit, the layer doesn't
	push
	refuses
	has 'space left' 'is still serving'
	serves beside 'page of the second berth'
	equal "$before" "$(release_of beside)"
	[ "$(find "$BERTH_STATE/layers" -mindepth 1 -maxdepth 1 | wc -l)" -le "$((layers + 1))" ]

	# Not a block left: every command still ends, done or with a sentence, and the app serves.
	dd if=/dev/zero of="$BERTH_STATE/filler2" bs=64k 2>/dev/null || :
	try berth config:set beside A=b
	[ "$status" -eq 0 ] || { exits 1 && has ' !     '; }
	try berth status
	ok
	serves beside 'page of the second berth'
	rm "$BERTH_STATE/filler" "$BERTH_STATE/filler2"

	# With space again everything works.
	git reset -q --hard HEAD~1
	page_is 'page 2'
	pushed
	serves beside 'page 2'
	# It is told before it is too late.
	sqlite3 "$BERTH_STATE/control/berth.db" "UPDATE layer SET size_bytes=100000000 WHERE kind='source'"
	fill_up 60000
	page_is 'page 3'
	pushed
	has 'the disk is nearly full' 'the last build of beside took 95 MB'
	rm "$BERTH_STATE/filler"
	serves beside 'page 3'
	equal ok "$(sqlite3 "$BERTH_STATE/control/berth.db" 'pragma integrity_check' | head -n 1)"
	trap - EXIT
	berth_down
}

@test "two berths run side by side; a full disk of one refuses pushes in words and harms nothing" {
	app beside
	pushed
	serves beside 'page 1'
	(set -e; second_berth)
	serves beside 'page 1'
	page_is 'page 2'
	pushed
	serves beside 'page 2'
}
