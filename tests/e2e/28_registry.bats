# Images come from registries by name, and go there: Debian's docker-registry over https with tokens, skopeo as the witness, and a
# registry that lies.

# Also of a run before, with TESTS_KEEP.
clean() {
	local name
	for name in r-site r-from; do berth apps:destroy "$name" --force || :; done
	for name in $(berth registry:list --format json | jq -r '.[].host'); do berth registry:logout "$name" || :; done
	for name in $(berth images:list --format json | jq -r '.[].name' | grep -E '\.tests:|^(r|own)/'); do berth images:untag "$name" || :; done
	berth images:prune
} >/dev/null 2>&1
setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/registry.bash"
	registry_up "$BATS_FILE_TMPDIR/registry"
	export REG_DIR REG REG_LOCAL LIAR PLAIN_PORT BERTHD_UNDER
	berthd_stop
	berthd_start
	clean
}
teardown_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/registry.bash"
	registry_down
	clean
	unset BERTHD_UNDER
	berthd_stop
	berthd_start
}
setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/registry.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
	: >"$REG_DIR/asked"
}

login() { berth registry:login "$REG" --user "${1:-ann}" <<<"${2:-harbour-9}"; }
digest_of() { registry_skopeo inspect "docker://$REG_LOCAL/$1" --format '{{.Digest}}'; }
# nothing_left: neither a file of control, nor a program, nor a layer that nothing names.
registry_program() { pgrep -P "$(control_pid)" -x berth-registry; }
no_registry_program() { ! registry_program >/dev/null; }
# forget NAME…: images that are to be fetched as a whole.
forget() {
	local name
	for name; do berth images:untag "$name" >/dev/null 2>&1 || :; done
	berth images:prune >/dev/null
}
layers() { berth images:prune --dry-run --format json | jq .count; }
nothing_left() {
	wait_for 2 no_registry_program || fail 'a berth-registry is left'
	wait_for 2 no_spool || fail 'a file of control is left'
	wait_for 2 as_unused || equal "$UNUSED" "$(layers)"
}
no_spool() { [ -z "$(find "/proc/$(control_pid)/fd" -lname "*/control/#*" 2>/dev/null)" ]; }
as_unused() { [ "$(layers)" = "$UNUSED" ]; }
asked() { jq -r "$1" "$REG_DIR/asked"; }

@test "registry:login tries the password, keeps it, and shows it nowhere" {
	try login ann wrong
	exits 1
	has 'does not take the password of ann' "berth registry:login $REG"
	equal '[]' "$(berth registry:list --format json)"
	try berth registry:login "$REG" --user ann
	exits 1
	has 'no password'
	try berth registry:login "$REG"
	exits 2
	try bash -c "echo harbour-9 | berth registry:login 'ann@x/y' --user ann"
	exits 2
	try login ann $'harbour-9\nmore'
	exits 2
	has 'one line'
	try login
	ok
	has "Logged in at $REG as ann"
	lacks harbour-9
	try berth registry:list
	ok
	has "$REG" ann
	lacks harbour-9
	remote registry:login "$REG" --user ann <<<harbour-9 | grep -q 'Logged in'
	try grep -rl harbour-9 "$BERTH_STATE/logs" "$BERTH_TEST/berthd.log"
	exits 1
	try berth events
	has registry:login
	lacks harbour-9
}

@test "an image of others: pulled without a login, deployed and served; FROM names it" {
	berth registry:logout "$REG" --format json | /usr/bin/python3 "$BERTH_SOURCE/tests/lib/commands.py" schema registry:logout
	registry_skopeo copy --dest-creds ann:harbour-9 "oci:$REG_DIR/layout:1" "docker://$REG_LOCAL/open/site:1"
	try berth images:pull "$REG/open/site:1"
	ok
	has 'layer 1 of 2' 'layer 2 of 2' '2 layers, 0 of them were here' "$(digest_of open/site:1)"
	berth apps:destroy r-site --force >/dev/null 2>&1 || :
	berth apps:create r-site
	try berth git:from-image r-site "$REG/open/site:1"
	ok
	serves r-site 'page of the registry'
	app r-from -
	printf 'FROM %s\nCOPY index.html /www/index.html\n' "$REG/open/site:1" >Dockerfile
	printf 'page above\n' >index.html
	commit first
	pushed
	serves r-from 'page above'
	berth images:pull "$REG/open/site@$(digest_of open/site:1)" >/dev/null
	printf 'FROM %s\nCOPY index.html /www/index.html\n' "$REG/open/site:1@$(digest_of open/site:1)" >Dockerfile
	printf 'page by digest\n' >index.html
	commit digest
	pushed
	serves r-from 'page by digest'
	printf 'FROM %s\n' "$REG/open/site:9" >Dockerfile
	commit missing
	push
	fails
	has "berth images:pull $REG/open/site:9"
}

@test "an image of ours goes there and comes back: the same digests, and nothing is sent or fetched twice" {
	login
	try berth images:push r-from "$REG/own/app:1"
	ok
	has 'layer 3 of 3: ' "Pushed r-from:v2 as $REG/own/app:1"
	local digest
	digest=$(grep -o 'sha256:[0-9a-f]*' <<<"$output")
	equal "$digest" "$(digest_of own/app:1)"
	# skopeo checks every digest, and the layers are those of images:export
	registry_skopeo copy --src-creds ann:harbour-9 "docker://$REG_LOCAL/own/app:1" "oci:$BATS_TEST_TMPDIR/copy:1"
	berth images:export r-from | tar -x -C "$BATS_TEST_TMPDIR" --wildcards 'blobs/*'
	diff -r "$BATS_TEST_TMPDIR/blobs" "$BATS_TEST_TMPDIR/copy/blobs"
	try berth images:push r-from "$REG/own/app:2"
	ok
	has '3 layers, 3 of them were there'
	lacks ' in 0'
	try berth images:pull "$REG/own/app:1"
	ok
	has "$digest" "Pulled $REG/own/app:1"
	try berth images:push "$REG/own/app:1" "$REG/own/app:3"
	ok
	has "$digest"
	try berth images:pull "$REG/own/app@$digest" --as own/again:1
	ok
	has '3 layers, 3 of them were here'
	lacks ' in 0'
	try berth images:diff r-from own/again:1
	ok
	equal '' "$output"
}

@test "docker's own format, zstd, and an index of several platforms" {
	local machine=amd64 token manifests
	[ "$(uname -m)" = x86_64 ] || machine=arm64
	registry_skopeo copy --dest-creds ann:harbour-9 --format v2s2 "oci:$REG_DIR/layout:1" "docker://$REG_LOCAL/open/forms:docker"
	# another page: skopeo takes layers that it knows to be there
	registry_py image "$BATS_TEST_TMPDIR/zstd" "$BERTH_SOURCE/build/bin/berth-static" 'page in zstd'
	skopeo copy -q "oci:$BATS_TEST_TMPDIR/zstd:1" "docker-archive:$BATS_TEST_TMPDIR/plain.tar:x:1"
	registry_skopeo copy --dest-creds ann:harbour-9 --format oci --dest-compress-format zstd \
		"docker-archive:$BATS_TEST_TMPDIR/plain.tar" "docker://$REG_LOCAL/open/forms:zstd"
	registry_skopeo inspect --raw "docker://$REG_LOCAL/open/forms:zstd" | grep -q 'tar+zstd'
	registry_skopeo inspect --raw "docker://$REG_LOCAL/open/forms:docker" | grep -q docker.distribution.manifest.v2
	registry_py image "$BATS_TEST_TMPDIR/other" "$BERTH_SOURCE/build/bin/berth-static" 'page of another platform'
	registry_skopeo copy --dest-creds ann:harbour-9 "oci:$BATS_TEST_TMPDIR/other:1" "docker://$REG_LOCAL/open/forms:other"
	registry_skopeo copy --dest-creds ann:harbour-9 "oci:$REG_DIR/layout:1" "docker://$REG_LOCAL/open/forms:this"
	manifests=$(for tag in other this; do
		jq -c --arg arch "$([ $tag = this ] && echo $machine || echo s390x)" \
			'.manifests[0] | del(.annotations) | .platform = {os: "linux", architecture: $arch}' \
			"$([ $tag = this ] && echo "$REG_DIR/layout" || echo "$BATS_TEST_TMPDIR/other")/index.json"
	done | jq -sc .)
	token=$(registry_token repository:open/forms:pull,push)
	for tag in all none; do
		[ $tag = all ] || manifests=$(jq -c '[.[0]]' <<<"$manifests")
		curl -sSf --cacert "$REG_DIR/ca.pem" -X PUT -H "Authorization: Bearer $token" \
			-H 'Content-Type: application/vnd.oci.image.index.v1+json' "https://$REG_LOCAL/v2/open/forms/manifests/$tag" \
			-d "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":$manifests}"
	done
	login
	forget "$REG/open/site:1"
	for name in docker zstd all; do
		try berth images:pull "$REG/open/forms:$name" --as "r/$name"
		ok
		has "Pulled r/$name"
	done
	try berth images:diff r/docker r/all
	ok
	equal '' "$output"
	try berth images:diff r/docker r/zstd
	ok
	has '~ www/index.html' '0 added, 0 removed, 1 changed'
	try berth images:pull "$REG/open/forms:none"
	exits 1
	has 'it is for linux/s390x, not for linux/'
}

@test "what is not there, not allowed or not named in full" {
	UNUSED=$(layers)
	try berth images:pull "$REG/own/app:9"
	exits 1
	has 'has no own/app:9'
	berth registry:logout "$REG"
	try berth images:pull "$REG/own/app:1"
	exits 1
	has 'does not let anybody pull own/app' "berth registry:login $REG"
	try berth images:push r-from "$REG/open/app:1"
	exits 1
	has 'does not let anybody push open/app'
	try berth registry:logout "$REG"
	exits 1
	try berth images:pull alpine
	exits 2
	has 'does not say in which registry' 'registry.example.com/alpine'
	try berth images:push r-from team/blog
	exits 2
	has 'registry.example.com/team/blog'
	try berth images:push r-none "$REG/a"
	exits 1
	try berth images:pull "registry.tests:1/a"
	exits 1
	has 'registry.tests cannot be reached'
	nothing_left
}

@test "plain http and Basic authentication: from a loopback address only" {
	try berth images:pull "registry.tests:$PLAIN_PORT/a:1"
	exits 1
	has 'speaks no https' 'loopback'
	try berth images:push r-from "127.0.0.1:$PLAIN_PORT/own:1"
	exits 1
	has 'answers only to who is logged in'
	try bash -c "echo wrong | berth registry:login 127.0.0.1:$PLAIN_PORT --user ann"
	exits 1
	has 'does not take the password of ann'
	for name in 127.0.0.1 localhost; do berth registry:login "$name:$PLAIN_PORT" --user ann <<<harbour-9 >/dev/null; done
	try berth images:push r-from "127.0.0.1:$PLAIN_PORT/own:1"
	ok
	try berth images:pull "127.0.0.1:$PLAIN_PORT/own:1" --as r/plain:1
	ok
	try berth images:pull "localhost:$PLAIN_PORT/own:1" --as r/plain:2
	ok
}

@test "a registry that nobody vouches for is not spoken to" {
	local log=$REG_DIR/other
	mkdir -p "$log"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$log/server.key" -out "$log/server.pem" -days 2 \
		-subj /CN=liar.tests -addext 'subjectAltName=DNS:liar.tests' 2>/dev/null
	local port
	port=$(free_port)
	registry_start untrusted registry_py peer "$port" "$log" "$REG_DIR/layout"
	wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
	try berth images:pull "liar.tests:$port/a:1"
	exits 1
	has 'the certificate of liar.tests is not trusted' 'update-ca-certificates'
	[ ! -s "$log/asked" ]
}

@test "what does not fit its digest or its size is refused, and leaves nothing" {
	clean
	UNUSED=$(layers)
	while IFS='|' read -r name text; do
		try berth images:pull "$LIAR/$name:1" --as r/lie:1
		exits 1
		has "$text"
	done <<-END
		bytes|refused: $LIAR sends sha256:
		more|sends more for sha256:
		short|the connection to liar.tests broke
		other|which should be sha256:
		schema1|old format
		around|leads from one address to another
		http|leads to http://127.0.0.1:1/
		realm|wants its tokens asked for at http://elsewhere.tests/token
	END
	try berth images:list
	lacks r/lie
	nothing_left
	# each time from where it broke, and not for ever
	equal 1 "$(asked 'select(.path | startswith("/v2/short/")) | .range // empty' | sort -u | wc -l)"
	# a digest that was asked for holds, whatever the registry says
	try berth images:pull "$LIAR/plain@sha256:$(printf '%064d' 1)" --as r/lie:1
	exits 1
	has 'which should be sha256:00000'
}

@test "a broken connection is gone on with, and a redirect to another host gets no login" {
	clean
	berth registry:login "$LIAR" --user ann <<<liars-harbour-9 >/dev/null
	try berth images:pull "$LIAR/broken:1" --as r/broken:1
	ok
	has 'going on' 'Pulled r/broken:1'
	[ "$(asked 'select(.range) | .range' | sort -u | wc -l)" -gt 2 ]
	forget r/broken:1
	try berth images:pull "$LIAR/whole:1" --as r/broken:1
	ok
	forget r/broken:1
	try berth images:pull "$LIAR/away:1" --as r/away:1
	ok
	equal 'GET null' "$(asked 'select(.host == "peer") | .method + " " + (.authorization | tostring)')"
	# all by the proxy of berthd's environment, which sees no login
	equal "CONNECT $LIAR null" "$(asked 'select(.host == "proxy") | .method + " " + .path + " " + (.authorization | tostring)' | sort -u)"
	# the login went to its own registry, which shows that it was there to be lost
	asked 'select(.path | startswith("/token")) | .authorization' | grep -q '^Basic '
	asked 'select(.path | startswith("/v2/away/blobs")) | .authorization' | grep -q '^Bearer a-token-of-the-liar$'
	# what is sent is sent again, and goes elsewhere without the login
	: >"$REG_DIR/asked"
	try berth images:push r/away:1 "$LIAR/drop:1"
	ok
	has 'answers 503; once more' 'Pushed r/away:1'
	equal 9 "$(asked 'select(.method == "PUT" and (.path | startswith("/v2/drop/blobs/"))) | .path' | wc -l)"
	try berth images:push r/away:1 "$LIAR/away:1"
	ok
	equal 'PUT null' "$(asked 'select(.host == "peer") | .method + " " + (.authorization | tostring)' | sort -u)"
	try berth images:push r/away:1 "$LIAR/wrong:1"
	exits 1
	has 'has sha256:1111'
	forget r/away:1
	berth registry:logout "$LIAR"
}

@test "berth-registry is confined; Ctrl-C ends it, and nothing is left" {
	clean
	UNUSED=$(layers)
	timeout 120 "$BERTH_PREFIX/bin/berth" images:pull "$LIAR/slow:1" --as r/slow:1 >"$BATS_TEST_TMPDIR/out" 2>&1 </dev/null 3>&- &
	local asker=$! pid began
	wait_for 5 grep -q 'layer 1 of 2: .* of .*/s' "$BATS_TEST_TMPDIR/out"
	pid=$(registry_program)
	equal _berth "$(ps -o user= -p "$pid")"
	equal "0000000000000000 1 2" "$(awk '/^(CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$pid/status" | xargs)"
	equal 0 "$(stat -c %u "/proc/$pid/mem")" # not to be read by others of its user
	began=$(now_ms)
	kill -INT "$asker"
	wait "$asker" || :
	nothing_left
	[ $(($(now_ms) - began)) -lt 20000 ] # the other end takes a minute
	try berth images:list
	lacks r/slow
}
