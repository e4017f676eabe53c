# Volumes: a size that holds, several apps on one, process types, and what the commands refuse.

setup() { . "$BERTH_SOURCE/tests/lib/e2e.bash"; }

# refused STATUS TEXT…: what try has just run ended so, and says these.
refused() {
	exits "$1" && shift && has "$@"
}
# A new volume; one of a run before, with TESTS_KEEP, goes.
volume() {
	berth volumes:destroy "$1" --force >/dev/null 2>&1 || :
	berth volumes:create "$@" >/dev/null
}
usage_of() { json volumes:usage "$1" | jq -r "$2"; }
images() { grep -ls "$BERTH_STATE/volumes" /sys/block/loop*/loop/backing_file | wc -l; }

@test "a volume with a size is full when it is full, and no other app notices" {
	app v-full
	pushed
	app v-beside
	pushed
	volume v-sized --size 32M
	try berth volumes:mount v-full v-sized:/data
	ok
	try berth volumes:mount v-beside v-sized /shared --read-only
	ok
	inside v-full 'stat -c %u /data; echo first >/data/file; head -c 100M /dev/zero >/data/much; ls -s /data/much | cut -d" " -f1'
	has 1000
	[[ $output == *'No space left'* || $output == *'quota exceeded'* ]]
	inside v-full 'cat /data/file; grep " /data " /proc/self/mountinfo'
	has first nosuid nodev
	lacks "$BERTH_STATE"
	inside v-beside 'cat /shared/file; echo x 2>&1 >/shared/file; stat -c %u /shared/file'
	has first 'Read-only file system' 1000
	serves v-beside "$(cat "$WORK/v-beside/page.txt")"
	equal 33554432 "$(usage_of v-sized '.[0].size_bytes')"
	equal true "$(usage_of v-sized '.[0] | .used_bytes > 20000000 and .files >= 3 and .files_max > 1000')"
	try berth volumes:list
	has v-sized 32M v-full:/data v-beside:/shared:ro
	try berth volumes:report v-full --v-sized
	has 'v-full:/data' 'of 32M'
}

@test "it grows while apps use it, and never shrinks" {
	try berth volumes:resize v-sized 64M
	ok
	has 'has 64M'
	# Where root may not grow a mounted one, the next start does.
	if [[ $output == *ps:stop* ]]; then
		for verb in stop start; do
			for a in v-beside v-full; do berth ps:$verb $a >/dev/null; done
		done
	fi
	wait_for 20 grown
	try berth volumes:resize v-sized 64M
	ok
	try berth volumes:resize v-sized 16M
	refused 1 'v-sized has 64M; a volume only grows' 'volumes:create v-sized-new --size 16M'
	inside v-full 'cat /data/file'
	equal first "$output"
}
grown() {
	inside v-full 'rm -f /data/much; head -c 44M /dev/zero >/data/more && echo fits; rm -f /data/more'
	has fits
}

@test "it goes when nobody has it, with its device" {
	try berth volumes:destroy v-sized --force
	refused 1 'v-sized is mounted by' 'berth volumes:unmount'
	try berth volumes:unmount v-full v-sized
	ok
	try berth volumes:unmount v-beside v-sized
	ok
	try berth volumes:destroy v-sized
	refused 2
	try berth volumes:destroy v-sized --force
	ok
	wait_for 20 eval '[ "$(images)" = 0 ]'
	try berth volumes:usage v-sized
	refused 1 'no volume named v-sized'
}

@test "a volume of one process type is seen by its instances, and by run with that type" {
	app v-types
	printf 'web: exec perl serve.pl\nworker: exec sleep 600\n' >Procfile
	commit types
	pushed
	volume v-worker --size 16M
	try berth volumes:mount v-types v-worker:/data --process-type nosuch
	refused 2 'v-types has no process type "nosuch"; its types:'
	try berth volumes:mount v-types v-worker:/data --process-type worker
	ok
	inside v-types 'ls -d /data 2>&1'
	has 'No such file'
	try berth run v-types --type worker -- sh -c 'echo of the worker >/data/file && cat /data/file'
	has 'of the worker'
	try berth run v-types -- ls -d /data
	fails
	# No stop-first for web, which does not have it.
	try berth ps:scale v-types web=2
	ok
	try berth ps:scale v-types worker=2
	refused 1 'writable volume' 'overlap on'
	try berth volumes:list v-types
	has 'v-types:/data (worker)'
	berth apps:destroy v-types --force --volumes destroy >/dev/null
	try berth volumes:usage v-worker
	fails
}

@test "a read-only volume does not make deploys stop first" {
	app v-reader
	pushed
	volume v-read --size 16M
	try berth volumes:mount v-reader v-read:/data:ro
	ok
	page_is 'page 2'
	push
	ok
	lacks 'Stopping the old instance first'
	berth apps:destroy v-reader --force --volumes destroy >/dev/null
}

@test "an image that does not mount stops the apps that have it, with words, and no other" {
	app v-broken
	pushed
	volume v-bad --size 16M
	id=$(usage_of v-bad '.[0].id')
	file=$BERTH_STATE/volumes/$(printf %016x "$id").img
	[ -e "$file" ] || skip 'volumes are not images here'
	dd if=/dev/zero of="$file" bs=4096 count=1 conv=notrunc status=none
	try berth volumes:mount v-broken v-bad:/data
	fails
	has 'volume v-bad cannot be mounted: there is no file system in its image' 'e2fsck -f'
	wait_for 20 serves v-broken "$(cat "$WORK/v-broken/page.txt")"
	rm "$file"
	try berth volumes:mount v-broken v-bad:/data
	fails
	has 'volume v-bad is gone from the disk' 'volumes:unmount'
	try berth volumes:usage
	ok
	has v-bad
	berth volumes:destroy v-bad --force
	berth apps:destroy v-broken --force >/dev/null
}

@test "sizes, names and paths that cannot be are refused" {
	app v-words
	pushed
	volume v-plain
	volume v-other --size 16M
	for size in 0 1 15M 99999T -1 x '' '2 G'; do
		try berth volumes:create v-words-bad "--size=$size"
		refused 2 'is not a size from 16M to 8T'
		try berth volumes:resize v-other -- "$size"
		refused 2
	done
	try berth volumes:create v-words-bad --size 7T
	refused 1 'do not fit on the disk' 'are free' 'disk:report'
	for name in ../x UPPER '' a/b; do
		try berth volumes:create "$name" --size 16M
		refused 2
	done
	try berth volumes:create v-plain --size 16M
	refused 1 'already a volume named v-plain'
	try berth volumes:resize v-plain 1G
	refused 1 'was made without a size'
	try berth volumes:resize nosuch 1G
	refused 1 'no volume named nosuch'
	for path in relative / /proc /proc/x /sys /dev/shm /a/../b /a/ //a; do
		try berth volumes:mount v-words v-plain "$path"
		refused 2
	done
	try berth volumes:mount v-words v-plain:/data
	ok
	try berth volumes:mount v-words v-plain:/data2
	refused 1 'v-words has v-plain already, at /data'
	try berth volumes:mount v-words v-other:/data
	refused 1 'has v-plain at /data already'
	for path in /data/inner /; do
		try berth volumes:mount v-words v-other "$path"
		fails
	done
	try berth volumes:mount v-words v-other:/data/inner
	refused 1 'none may lie in the other'
	try berth volumes:unmount v-words v-other
	refused 1 'does not mount v-other'
	equal folder "$(usage_of v-plain '.[0].backing')"
	inside v-words 'head -c 300000 /dev/urandom >/data/x'
	equal true "$(usage_of v-plain '.[0].used_bytes >= 300000')"
	berth apps:destroy v-words --force --volumes destroy >/dev/null
	berth volumes:destroy v-other --force
}
