# Images leave for other tools, come from them, and are compared.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	dir=$BATS_FILE_TMPDIR
}

image() { /usr/bin/python3 "$BERTH_SOURCE/tests/lib/image.py" "$@"; }

@test "releases:diff and images:diff tell what changed, and no value of the config" {
	app i-one
	page_is 'i-one 1' # no other test's files
	pushed
	printf 'more text\n' >new.txt
	printf 'page 2, longer\n' >page.txt
	rm -f cgi.txt
	printf 'web: exec perl serve.pl\nworker: exec sleep 1000\n' >Procfile
	commit second
	pushed
	berth config:set i-one SECRET=hidden-value >/dev/null
	try berth releases:diff i-one v1 v3
	ok
	has '+ app/new.txt  10 bytes' '~ app/page.txt  8 bytes -> 15 bytes' '~ app/Procfile' '1 added, 0 removed, 2 changed' \
		'+ SECRET' '+ worker'
	lacks hidden-value
	try berth releases:diff i-one v3 v1 --format json
	ok
	equal 'app/new.txt 10 SECRET' "$(jq -r '[.files.removed[0].path, .files.removed[0].size, .config.removed[0]] | join(" ")' <<<"$output")"
	try berth images:diff i-one:v2 i-one:v3
	ok
	equal '' "$output"
	try berth releases:diff i-one v1 v9
	exits 1
	has 'no release v9'
}

@test "an exported image is the same each time, and all digests in it are right" {
	berth images:export i-one --to "$dir/oci.tar"
	try image verify "$dir/oci.tar"
	ok
	equal 2 "${#lines[@]}"
	berth images:export i-one --format docker >"$dir/docker.tar"
	remote images:export i-one:v3 --format docker | cmp - "$dir/docker.tar"
	try image verify "$dir/docker.tar"
	ok
	# what images:history says is what is in there
	equal "$(cut -d' ' -f1 <<<"$output")" "$(json images:history i-one | jq -r '.layers[].digest')"
	lacks hidden-value
	try remote images:export i-one --to /tmp/x
	exits 2
	has 'file of the host'
	berth images:export i-one --compress zstd --to "$dir/zstd.tar"
	try image verify "$dir/zstd.tar"
	ok
	[ "$(stat -c %s "$dir/zstd.tar")" -lt "$(stat -c %s "$dir/oci.tar")" ]
	equal 'application/vnd.oci.image.layer.v1.tar+zstd' "$(skopeo inspect --raw "oci-archive:$dir/zstd.tar" | jq -r '.layers[].mediaType' | sort -u)"
	try berth images:export i-one --format docker --compress zstd
	exits 2
	try berth images:export i-one --format zip
	fails
	has 'oci, docker and rootfs'
	try berth images:export i-none
	exits 1
}

@test "other tools read it: skopeo checks every digest, umoci unpacks what the app sees" {
	skopeo copy -q "oci-archive:$dir/oci.tar" "docker-archive:$dir/skopeo.tar:i/one:3"
	skopeo copy -q "docker-archive:$dir/docker.tar" "oci:$dir/layout:3"
	umoci unpack --image "$dir/layout:3" "$dir/bundle"
	equal '/bin/sh -c exec perl serve.pl /app 1000' \
		"$(jq -r '.process | [.args[], .cwd, .user.uid] | join(" ")' "$dir/bundle/config.json")"
	mkdir "$dir/rootfs"
	berth images:export i-one --format rootfs | tar -C "$dir/rootfs" -xp
	try image compare "$dir/bundle/rootfs" "$dir/rootfs"
	ok
	# the check can fail
	echo >>"$dir/rootfs/app/page.txt"
	try image compare "$dir/bundle/rootfs" "$dir/rootfs"
	fails
	# and what the running app sees
	inside i-one 'sha256sum /app/* /etc/debian_version'
	equal "$output" "$(cd "$dir/bundle/rootfs" && sha256sum app/* etc/debian_version | sed 's#  #  /#')"
}

@test "an image of ours comes back as it left" {
	try berth images:import "$dir/oci.tar" --as i/back:v3
	ok
	has 'Imported i/back:v3' '2 layers, 0 of them were here'
	berth images:export i/back:v3 --to "$dir/back.tar"
	cmp "$dir/oci.tar" "$dir/back.tar"
	remote images:import - --as i/again:v3 <"$dir/docker.tar" >"$dir/out" 2>&1
	grep -q '2 layers, 2 of them were here' "$dir/out"
	try berth images:diff i-one:v3 i/again:v3
	ok
	equal '' "$output"
}

# tiny: a server without anything around, made by buildah.
tiny() {
	local b="buildah --root $dir/storage --runroot $dir/storage-run --storage-driver vfs" c
	printf 'page of the image\n' >"$dir/index.html"
	c=$($b from scratch)
	$b copy -q "$c" "$BERTH_SOURCE/build/bin/berth-static" /serve
	$b copy -q "$c" "$dir/index.html" /www/index.html
	$b config --entrypoint '["/serve"]' --cmd '--root /www' --env COLOUR=blue --port 8000 --workingdir /www --user 33:33 "$c"
	$b commit -q "$c" "docker-archive:$dir/tiny.docker:tiny:1"
	$b commit -q "$c" "oci-archive:$dir/tiny.oci:1"
	$b rm -a
	$b rmi -a -f
} >/dev/null 2>&1

@test "archives of buildah and skopeo and root file systems are imported, equal layers once" {
	tiny
	skopeo copy -q "docker-archive:$dir/tiny.docker" "oci:$dir/tiny.folder:1"
	for form in docker oci folder; do
		try berth images:import "$dir/tiny.$form" --as "tiny:$form"
		ok
		has "Imported tiny:$form"
		json images:history "tiny:$form" >"$dir/history.$form"
	done
	equal '{"Cmd":["--root","/www"],"Entrypoint":["/serve"],"User":"33:33","WorkingDir":"/www"}' \
		"$(jq -cS '.image.config | {Cmd, Entrypoint, User, WorkingDir}' "$dir/history.oci")"
	equal "$(jq -c '[.layers[].id]' "$dir/history.docker")" "$(jq -c '[.layers[].id]' "$dir/history.folder")"
	equal 'COLOUR=blue' "$(jq -r '.image.config.Env[]' "$dir/history.docker" | grep COLOUR)"
	# a tree that goes in comes out
	mkdir -p "$dir/tree/bin" "$dir/tree/d"
	cp "$BERTH_SOURCE/build/bin/berth-static" "$dir/tree/bin/serve"
	chmod 4755 "$dir/tree/bin/serve"
	ln "$dir/tree/bin/serve" "$dir/tree/d/hard"
	ln -s ../bin/serve "$dir/tree/d/soft"
	truncate -s 3M "$dir/tree/d/sparse"
	echo text >>"$dir/tree/d/sparse"
	chown 33:44 "$dir/tree/d/sparse"
	tar -C "$dir/tree" -cz . | berth images:import - --as tree --cmd '["/bin/serve"]' --env A=1 --user 7
	try json images:history tree:latest
	equal '{"Cmd":["/bin/serve"],"User":"7"}' "$(jq -cS '.image.config | {Cmd, User}' <<<"$output")"
	mkdir "$dir/tree.out"
	berth images:export tree --format rootfs | tar -C "$dir/tree.out" -xp
	try image compare "$dir/tree" "$dir/tree.out"
	ok
	try berth images:import "$dir/tiny.oci"
	fails
	has '--as NAME'
	try with_half_tar berth images:import "$dir/tree" --as half
	exits 1
	has 'could not read all'
	try berth images:history half
	fails
}

@test "git:from-image deploys an image as it says itself" {
	berth apps:create i-image
	try berth git:from-image i-image tiny:docker
	ok
	has 'Released v1'
	serves i-image 'page of the image' # it listens on 8000, as it exposes
	pid=$(app_pids i-image /serve)
	equal '33 33' "$(awk '/^Uid:/ { u = $2 } /^Gid:/ { print u % 65536, $2 % 65536 }' "/proc/$pid/status")"
	tr '\0' '\n' <"/proc/$pid/environ" | grep -qx COLOUR=blue
	try berth git:from-image i-image none:1
	exits 1
	has 'no image none:1'
	# one that fails starts nothing that was stopped
	berth ps:stop i-image
	ln -s nowhere "$dir/link"
	tar -C "$dir" -c link | berth images:import - --as broken --cmd '["/link"]'
	try berth git:from-image i-image broken
	fails
	has 'i-image stays stopped, at v1'
	equal true "$(json apps:report i-image | jq .stopped)"
	try berth ps:rebuild i-image
	fails
	has 'git:from-image'
	# an image that berth exported brings its process types
	berth images:tag i-one:v3 i/types:1
	try berth git:from-image i-image i/types:1
	ok
	serves i-image 'page 2, longer'
	equal 'exec sleep 1000' "$(json ps:report i-image | jq -r '.processes[] | select(.type == "worker").command')"
	berth images:untag i/types:1
	try berth rollback i-image v1
	ok
	serves i-image 'page of the image'
	berth apps:destroy i-image --force
}

# files IMAGE: what the merged files of an image are, one a line.
files() { berth images:export "$1" --format rootfs | tar -t; }

@test "archives that want out, or more than there is, are refused or contained" {
	local canary=$BERTH_TEST/canary name how layers
	echo safe >"$canary"
	mkdir "$dir/hostile"
	/usr/bin/python3 "$BERTH_SOURCE/tests/lib/hostile_image.py" "$dir/hostile" "$canary" >"$dir/hostile.list"
	layers=$(find "$BERTH_STATE/layers" -maxdepth 1 -type d | sort)
	while read -r name how; do
		case $how in refused*) ;; *) continue ;; esac
		try berth images:import "$dir/hostile/$name.tar" --as "h/$name"
		[ "$status" = 1 ] || fail "$name: status $status" "$output"
		has ' !     ' "${how#refused}" || fail "$name"
		[ "$(cat "$canary")" = safe ] || fail "$name: the canary"
	done <"$dir/hostile.list"
	try berth images:list
	lacks h/
	wait_for 5 no_new_layers "$layers" || fail "left behind:" "$(find "$BERTH_STATE/layers" -maxdepth 1)"
	while read -r name how; do
		case $how in refused*) continue ;; esac
		try berth images:import "$dir/hostile/$name.tar" --as "h/$name"
		[ "$status" = 0 ] || fail "$name: status $status" "$output"
		[ "$(cat "$canary")" = safe ] || fail "$name: the canary"
	done <"$dir/hostile.list"
	[ "$(files h/deep | grep -c 'd/d/d.*/f$')" = 1 ]
	[ -z "$(files h/devices | grep -E 'null|fifo|sda|core_pattern|dev/x')" ]
	equal third "$(berth images:export h/twice --format rootfs | tar -xO f)"
	equal '-rwsrwsrwx 65534' "$(berth images:export h/owners --format rootfs | tar -tv --numeric-owner | awk '$6 == "f" { sub("/.*", "", $2); print $1, $2 }')"
	berth images:export h/xattrs --format docker >"$dir/xattrs.tar"
	grep -qa 'SCHILY.xattr.user.kept=1' "$dir/xattrs.tar"
	grep -qa 'SCHILY.xattr.security.capability=CAPS' "$dir/xattrs.tar"
	! grep -qa overlay "$dir/xattrs.tar" || fail 'an attribute of overlayfs'
	equal 'keep/ keep/b keep/new' "$(files h/whiteouts | grep keep | xargs)"
	equal 'keep/ keep/new' "$(files h/opaque | grep keep | xargs)"
	equal 6 "$(files h/case | grep -vcE '/$|bin/true')"
	# what other tools make of them is the same
	berth images:export h/opaque --to "$dir/opaque.tar"
	berth images:import "$dir/opaque.tar" --as h/again:latest >/dev/null
	berth images:export h/again --to "$dir/again.tar"
	cmp "$dir/opaque.tar" "$dir/again.tar"
	try image verify "$dir/opaque.tar"
	ok
	skopeo copy -q "oci-archive:$dir/opaque.tar" "oci:$dir/opaque:1"
	umoci unpack --image "$dir/opaque:1" "$dir/opaque.bundle"
	equal new "$(ls "$dir/opaque.bundle/rootfs/keep")"
	for name in $(json images:list | jq -r '.[].name | select(startswith("h/"))'); do berth images:untag "$name" >/dev/null; done
	berth images:prune >/dev/null
	wait_for 5 no_new_layers "$layers" || fail "left behind:" "$(find "$BERTH_STATE/layers" -maxdepth 1)"
}

takes_signals() { grep -q '^SigBlk:.*[2367abef]$' "/proc/$1/status"; } # SIGINT: blocked, and read
no_new_layers() { [ -z "$(find "$BERTH_STATE/layers" -maxdepth 1 -type d | grep -vxF "$1")" ]; }

@test "an export ends when its caller interrupts it" {
	berth images:export i-one --to "$dir/cut.tar" 3>&- &
	local pid=$! began
	wait_for 5 test -e "$dir/cut.tar.part"
	wait_for 5 takes_signals "$pid"
	sleep 0.3
	began=$(now_ms)
	kill -INT "$pid"
	wait "$pid" && fail 'it went on to its end'
	[ $(($(now_ms) - began)) -lt 20000 ] || fail "it took $(($(now_ms) - began)) ms"
	[ ! -e "$dir/cut.tar" ] && [ ! -e "$dir/cut.tar.part" ]
}

@test "a tag keeps an image when its app is gone; prune takes what is left" {
	berth images:tag i-one:v1 kept/one:a
	digest=$(json images:history kept/one:a | jq -r '.layers[1].digest')
	berth apps:destroy i-one --force
	berth images:export kept/one:a --to "$dir/kept.tar"
	try image verify "$dir/kept.tar"
	ok
	has "$digest"
	try berth images:prune --dry-run
	ok
	lacks "${digest:0:19}"
	try berth images:untag kept/one:a
	ok
	try berth images:prune --dry-run
	ok
	has "${digest:0:19}" 'would go'
	try berth images:prune
	ok
	has "${digest:0:19}" 'are gone'
	try berth images:prune --format json
	equal 0 "$(jq .count <<<"$output")"
	try berth images:export kept/one:a
	fails
	has 'no image kept/one:a'
}
