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
	BERTH_RUN_KB=2048
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
	fill_up 98000 # the objects fit, the layer doesn't, beside the 45 MB that are kept
	push
	refuses
	has 'space left' 'needs about 4' 'free beside the 4' 'berth disk:report' 'is still serving'
	serves beside 'page of the second berth'
	equal "$before" "$(release_of beside)"
	[ "$(find "$BERTH_STATE/layers" -mindepth 1 -maxdepth 1 | wc -l)" -le "$((layers + 1))" ]

	# Not a block left: every command still ends, done or with a sentence, and the app serves.
	dd if=/dev/zero of="$BERTH_STATE/filler2" bs=64k 2>/dev/null || :
	try berth config:set beside A=b
	[ "$status" -eq 0 ] || { exits 1 && has ' !     '; }
	try berth status
	ok
	# what is written down has its place already
	for n in 1 2 3 4 5 6 7 8; do
		try berth domains:add beside "host$n.example.com"
		ok
	done
	equal 'page of the second berth' "$(fetch host8.example.com)"
	serves beside 'page of the second berth'
	# What was made ready for the next starts is written out while there is no room for it.
	losetup --noheadings --output NAME,BACK-FILE | awk -v s="$BERTH_STATE/" 'index($2, s) == 1 { print $1 }' >"$BATS_TEST_TMPDIR/loops"
	[ -s "$BATS_TEST_TMPDIR/loops" ]
	xargs sync <"$BATS_TEST_TMPDIR/loops" || :
	rm "$BERTH_STATE/filler" "$BERTH_STATE/filler2"

	# With space again everything works.
	git reset -q --hard HEAD~1
	page_is 'page 2'
	pushed
	serves beside 'page 2'
	# What nothing needs goes before a push is refused, and the same push works when there is space.
	app other
	head -c 60000000 /dev/urandom >big.bin
	commit big
	pushed
	berth apps:destroy other --force >/dev/null
	cd "$WORK/beside"
	nothing_removed() { [ "$(json disk:report | jq .host.removing_bytes)" = 0 ]; }
	wait_for 20 nothing_removed
	fill_up 90000
	head -c 20000000 /dev/urandom >big.bin
	page_is 'page 3'
	pushed
	has 'making room: 5' 'of layers that nothing needs any more'
	serves beside 'page 3'
	rm "$BERTH_STATE/filler"
	# Then build caches, where nothing else is left to go.
	app cached dockerfile
	sed -i '/^FROM/a RUN --mount=type=cache,target=/c head -c 45000000 /dev/urandom >/c/x' Dockerfile
	commit cache
	pushed
	[ "$(json disk:report | jq '.apps[] | select(.app == "cached").cache_bytes')" -gt 45000000 ]
	cd "$WORK/beside"
	fill_up 90000
	head -c 20000000 /dev/urandom >big.bin
	commit 'big once more'
	pushed
	has 'making room: 4' 'of build caches that were not used for longest'
	equal 0 "$(json disk:report | jq '.apps[] | select(.app == "cached").cache_bytes')"
	rm "$BERTH_STATE/filler"
	# A budget for layers and caches.
	used=$(berth disk:set --global budget 100G >/dev/null; json disk:report | jq .host.budget_used_bytes)
	berth disk:set --global budget "$((used + 15000000))" >/dev/null
	page_is 'page 4'
	push
	refuses
	has 'needs about' 'in the budget of' 'berth disk:set --global budget'
	serves beside 'page 3'
	berth disk:set --global budget '' >/dev/null
	pushed
	serves beside 'page 4'
	equal ok "$(sqlite3 "$BERTH_STATE/control/berth.db" 'pragma integrity_check' | head -n 1)"
	# Every command that writes, with no block, no inode, and no room in the run folder.
	/usr/bin/python3 "$BERTH_SOURCE/tests/soak/full.py" --short >"$BATS_TEST_TMPDIR/full" 2>&1 || fail "$(cat "$BATS_TEST_TMPDIR/full")"
	grep '^|' "$BATS_TEST_TMPDIR/full" | sed 's/^/# /' >&3
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
