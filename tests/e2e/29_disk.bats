# Every byte on the disk is somebody's, and what nothing needs goes.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

# The report, and beside it what du says; files without a name are in no folder.
sum_is_right() {
	json disk:report >"$BATS_TEST_TMPDIR/report" || return
	[ "$(jq '.host.total_bytes - .host.unnamed_bytes' "$BATS_TEST_TMPDIR/report")" = "$(du -sx -B1 "$BERTH_STATE" | cut -f 1)" ]
}
# Of a layer that is not on the disk as a whole yet, the size is found after it was asked for.
prunable_is_known() { sum_is_right && [ "$(of_report .host.prunable_bytes)" = "$(json images:prune --dry-run | jq .bytes)" ]; }
of_report() { jq "$1" "$BATS_TEST_TMPDIR/report"; }

@test "disk:report names every byte of the state folder, app by app" {
	app d-one c-plain
	pushed
	app d-two
	echo 'no other app has this file' >own.txt
	commit 'a layer of its own'
	pushed
	berth volumes:create d-data >/dev/null
	berth volumes:mount d-two d-data:/data >/dev/null
	inside d-two 'head -c 700000 /dev/urandom >/data/x && head -c 900000 /dev/urandom >/app/y'
	wait_for 60 sum_is_right || fail "$(cat "$BATS_TEST_TMPDIR/report")" "$(du -x -B1 --max-depth 2 "$BERTH_STATE")"
	equal true "$(of_report '.host as $h | ([.apps[] | .total_bytes] | add) == $h.apps_bytes and
		([$h | .apps_bytes, .shared_bytes, .base_bytes, .tagged_bytes, .unneeded_bytes, .unfinished_bytes, .volume_bytes,
			.scratch_bytes, .gone_bytes, .database_bytes, .removing_bytes, .other_bytes] | add) == $h.total_bytes')"
	equal true "$(of_report '.apps[] | select(.app == "d-two") | .volume_bytes >= 700000 and .scratch_bytes >= 900000 and
		.layer_bytes > 0 and .git_bytes > 0 and .log_bytes > 0 and .shared_bytes > 50000000')"
	try berth disk:report
	ok
	has 'd-one ' 'd-two ' 'base images' 'all of berth' 'room for builds'
	try berth disk:report d-two --volume-bytes
	ok
	equal "$output" "$(of_report '.apps[] | select(.app == "d-two") | .volume_bytes')"
	berth apps:destroy d-two --force >/dev/null
	wait_for 60 sum_is_right
	equal '[]' "$(of_report '[.apps[] | select(.app == "d-two")]' | jq -c .)"
	equal true "$(of_report '.host.volume_bytes >= 700000')"
	berth volumes:destroy d-data --force >/dev/null
}

@test "so many releases are kept as is set; prune frees what it said it would" {
	cd "$WORK/d-one" || return
	for n in 2 3 4; do
		sed -i "1i /* $n */" ./*.c
		commit "$n"
		pushed
	done
	berth disk:set d-one releases 2 >/dev/null
	equal 2 "$(berth disk:report d-one --releases)"
	wait_for 60 prunable_is_known
	said=$(of_report .host.prunable_bytes)
	[ "$said" -gt 0 ]
	equal "$said" "$(json images:prune | jq .bytes)"
	try berth rollback d-one v1
	fails
	has 'no longer kept (the newest 2 are)'
	berth rollback d-one v3 >/dev/null
	wait_for 60 sum_is_right
	equal 0 "$(of_report .host.prunable_bytes)"
	try berth disk:set d-one releases 0
	fails
	try berth disk:set d-one budget 5G
	fails
	has 'for all apps'
	berth apps:destroy d-one --force >/dev/null
}
