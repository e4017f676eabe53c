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
	remote images:export i-one:v3 >"$dir/again.tar"
	cmp "$dir/oci.tar" "$dir/again.tar"
	berth images:export i-one --format docker >"$dir/docker.tar"
	try image verify "$dir/docker.tar"
	ok
	# what images:history says is what is in there
	equal "$(cut -d' ' -f1 <<<"$output")" "$(json images:history i-one | jq -r '.layers[].digest')"
	lacks hidden-value
	try remote images:export i-one --to /tmp/x
	exits 2
	has 'file of the host'
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
