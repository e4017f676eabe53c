# Buildpacks that the app names: Heroku's classic contract, from the repository, from git and tar over the network. The rest
# of the world is a network namespace of this file's own with a web server; nothing leaves the machine.

SERVER=198.51.100.1

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	export OUT=p${BERTH_ID:0:8}
	ip netns add "$OUT"
	ip link add "$OUT" type veth peer name out netns "$OUT"
	ip address add 198.51.100.2/24 dev "$OUT"
	ip link set "$OUT" up
	ip netns exec "$OUT" sh -ec "ip link set lo up; ip link set out up; ip address add $SERVER/24 dev out; ip route add default via 198.51.100.2"
	serve_buildpacks
	# http.server itself would look up the name of its address.
	ip netns exec "$OUT" /usr/bin/python3 -c '
import functools, http.server, socketserver, sys
files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
socketserver.ThreadingTCPServer((sys.argv[1], 80), files).serve_forever()' $SERVER "$BERTH_TEST/www" >/dev/null 2>&1 3>&- &
	echo $! >"$BERTH_TEST/www.pid"
	wait_for 10 curl -sf -o /dev/null "http://$SERVER/"
}

teardown_file() {
	kill "$(cat "$BERTH_TEST/www.pid")" 2>/dev/null || :
	ip link del "$OUT" 2>/dev/null || :
	ip netns del "$OUT" 2>/dev/null || :
}

# buildpack DIR NAME: one that writes down what it was given, exports a variable, and puts another into the app's start.
buildpack() {
	mkdir -p "$1/bin"
	cat >"$1/bin/detect" <<-END
		#!/usr/bin/env bash
		[ -f "\$1/no-$2" ] && exit 1
		echo "Pack $2"
	END
	cat >"$1/bin/compile" <<-END
		#!/usr/bin/env bash
		set -e
		unset GIT_DIR
		bp=\$(cd "\$(dirname "\$0")/.." && pwd)
		echo "-----> compiling by $2"
		{
			echo "build=\$1 cwd=\$(pwd) home=\$HOME stack=\$STACK source=\$SOURCE_VERSION"
			echo "secret=\$(cat "\$3/SECRET" 2>/dev/null) exported=\${SECRET-not} args=\$#"
			echo "before=\$FROM_OTHERS uid=\$(id -u) git=\${GIT_DIR-unset} request=\${REQUEST_ID:+set} curl=\$CURL_TIMEOUT"
			echo "cached=\$(cat "\$2/$2" 2>/dev/null)"
		} >"\$1/$2.txt"
		echo kept >"\$2/$2"
		mkdir -p "\$1/.profile.d"
		echo 'export PROFILE_$2="\$SECRET in profile.d"' >"\$1/.profile.d/$2.sh"
		echo 'export FROM_OTHERS="\${FROM_OTHERS}$2 "' >"\$bp/export"
	END
	cat >"$1/bin/release" <<-END
		#!/usr/bin/env bash
		cat <<-YAML
		---
		addons: []
		config_vars:
		  DEFAULT_$2: by release
		default_process_types:
		  web: perl serve.pl
		  worker-$2: sleep 1000
		YAML
	END
	chmod 755 "$1"/bin/*
}

serve_buildpacks() {
	local www=$BERTH_TEST/www
	rm -rf "$www" "$BERTH_TEST/bp-git" "$BERTH_TEST/top" # left with TESTS_KEEP
	mkdir -p "$www"
	buildpack "$BERTH_TEST/bp-git" git
	(cd "$BERTH_TEST/bp-git" && git init -q && git add -A && git commit -qm one && git tag v1 &&
		echo 'echo "       the newer one"' >>bin/compile && git commit -qam two)
	git clone -q --bare "$BERTH_TEST/bp-git" "$www/git.git"
	git -C "$www/git.git" update-server-info
	buildpack "$BERTH_TEST/top/bp-tar" tar
	tar -C "$BERTH_TEST/top" -czf "$www/tar.tgz" bp-tar
	tar -C "$BERTH_TEST" -czf "$www/none.tgz" www/git.git/HEAD
}
says() { # APP FILE TEXT…
	local app=$1 file=$2
	shift 2
	try berth run "$app" cat "$file"
	has "$@"
}
# plain NAME: the probe app without its Procfile
plain() {
	app "$1"
	rm Procfile
}

@test "one from the repository: the whole contract" {
	plain bp-one
	buildpack tools/own own
	echo './tools/own' >.buildpacks
	commit own
	berth apps:create bp-one
	berth config:set bp-one 'SECRET=a "b" c' >/dev/null
	pushed
	has 'Pack own app detected by own' 'compiling by own' 'Released v'
	says bp-one own.txt 'build=/app cwd=/app home=/app stack=heroku-22' "source=$(git rev-parse HEAD)" 'secret=a "b" c exported=not args=3' \
		'git=unset request=set curl=180' 'cached='
	lacks uid=0
	try berth run bp-one sh -c 'echo "$PROFILE_own, $DEFAULT_own"'
	has 'a "b" c in profile.d, by release'
	equal 200 "$(code_of bp-one.localhost)"
	# The next build finds the cache of the one before.
	page_is 'another page'
	pushed
	says bp-one own.txt cached=kept
}

@test "several in order, from git and tar: what one exports the next one sees, the last one's start counts" {
	plain bp-many
	buildpack tools/own own
	printf '# first by tar\r\n\nhttp://%s/tar.tgz\nhttp://%s/git.git#v1\n./tools/own\n' $SERVER $SERVER >.buildpacks
	commit many
	pushed
	has 'Pack tar app detected' 'Pack git app detected' 'Pack own app detected'
	lacks 'the newer one'
	says bp-many tar.txt 'before= '
	says bp-many git.txt 'before=tar  uid'
	says bp-many own.txt 'before=tar git  uid'
	try berth ps:report bp-many --format json
	has worker-own
	lacks worker-git
	try berth run bp-many sh -c 'echo "$DEFAULT_own.$DEFAULT_git."'
	has 'by release..'
}

@test "berth's own among others: Node.js for a buildpack's own script, its packages a layer" {
	plain bp-node
	buildpack tools/own own
	echo 'node -e "console.log(require(\"ms\")(\"1h\"))" >hour.txt' >>tools/own/bin/compile
	echo "{\"name\": \"bp-$RANDOM\", \"private\": true, \"dependencies\": {\"ms\": \"2.1.3\"}}" >package.json
	mkdir more
	cp -a tools/own more/own # of the same name
	printf 'heroku/nodejs\n./more/own\n./tools/own\n' >.buildpacks
	commit node
	pushed
	has 'Installing packages'
	lacks 'left neither'
	says bp-node hour.txt 3600000
	page_is more
	pushed
	lacks 'Installing packages'
}

@test "buildpacks:add, set, remove, clear, list and detect; they go before .buildpacks and app.json" {
	plain bp-set
	buildpack tools/own own
	buildpack tools/two two
	printf '{ // a comment\n "buildpacks": [{"url": "./tools/own"}]}' >app.json
	commit set
	pushed
	has 'Pack own app detected'
	lacks 'Pack two'
	try berth buildpacks:add bp-set ./tools/two
	has '1. ./tools/two'
	berth buildpacks:add bp-set "http://$SERVER/tar.tgz" --index 1
	equal "http://$SERVER/tar.tgz ./tools/two" "$(json buildpacks:list bp-set | jq -r '.buildpacks | join(" ")')"
	page_is two
	pushed
	has 'Pack tar' 'Pack two'
	lacks 'Pack own'
	try berth buildpacks:add bp-set ./tools/two
	fails
	has 'is there already'
	try berth buildpacks:remove bp-set node
	fails
	for bad in git@example.com:x.git /etc ./../x 'a b' ''; do
		try berth buildpacks:set bp-set "$bad"
		fails
	done
	berth buildpacks:remove bp-set "http://$SERVER/tar.tgz"
	try berth buildpacks:detect bp-set
	ok
	has 'two app detected' 'needs: apt curl'
	berth buildpacks:clear bp-set
	try remote buildpacks:list bp-set
	has 'none set'
	berth config:set bp-set BUILDPACK_URL=./tools/two --no-restart
	page_is three
	pushed
	has 'Pack two'
}

@test "one of the host's, put into the state folder by root" {
	rm -rf "$BERTH_STATE/buildpacks"
	buildpack "$BERTH_STATE/buildpacks/mine" mine
	plain bp-host
	echo host:mine >.buildpacks
	commit host
	push
	refuses
	has 'this host has no buildpack mine'
	berth_restart
	commit again
	pushed
	has 'Pack mine app detected by mine'
	chmod 777 "$BERTH_STATE/buildpacks"
	berth_restart
	page_is more
	push
	refuses
	has 'this host has no buildpack mine'
	rm -rf "$BERTH_STATE/buildpacks"
	berth_restart
}
berth_restart() {
	local pid
	pid=$(cat "$BERTH_TEST/berthd.pid")
	kill "$pid"
	wait_for 20 gone "$pid"
	berthd_start
}
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "an inline buildpack: the app's own bin/detect, compile and release" {
	plain bp-inline
	mkdir -p inline/bin
	for f in detect compile release; do
		printf '#!/usr/bin/env bash\nf=$1/bin/%s\n[ -x "$f" ] || exit %d\nexec "$f" "$@"\n' $f $([ $f = detect ]; echo $?) >inline/bin/$f
		chmod 755 inline/bin/$f
	done
	mkdir bin
	printf '#!/bin/sh\necho Inline\n' >bin/detect
	printf '#!/bin/sh\necho made >"$1/made.txt"\n' >bin/compile
	printf '#!/bin/sh\necho "default_process_types: {web: perl serve.pl}"\n' >bin/release
	chmod 755 bin/*
	echo ./inline >.buildpacks
	commit inline
	pushed
	has 'Inline app detected'
	says bp-inline made.txt made
}

@test "an apt buildpack as the app's user: packages unpacked into the app, found by PATH from .profile.d" {
	plain bp-apt
	mkdir -p aptpack/bin
	printf '#!/bin/sh\n[ -f "$1/Aptfile" ] && echo Apt\n' >aptpack/bin/detect
	cat >aptpack/bin/compile <<-'END'
		#!/usr/bin/env bash
		set -eo pipefail
		apt=$2/apt
		mkdir -p "$apt/cache/archives/partial" "$apt/state/lists/partial" "$1/.apt" "$1/.profile.d"
		options=(-qq -o debug::nolocking=true -o dir::cache="$apt/cache" -o dir::state="$apt/state")
		apt-get "${options[@]}" update
		apt-get "${options[@]}" -y --no-install-recommends -d install --reinstall $(cat "$1/Aptfile")
		for deb in "$apt"/cache/archives/*.deb; do dpkg -x "$deb" "$1/.apt"; done
		echo 'export PATH="$HOME/.apt/usr/bin:$HOME/.apt/usr/games:$PATH"' >"$1/.profile.d/apt.sh"
	END
	chmod 755 aptpack/bin/*
	echo sl >Aptfile
	echo ./aptpack >.buildpacks
	echo 'web: perl serve.pl' >Procfile
	commit apt
	pushed
	try berth run bp-apt sh -c 'command -v sl'
	has /app/.apt/usr/games/sl
}

@test "what cannot be a build says so, and what ran goes on" {
	plain bp-bad
	buildpack tools/own own
	echo ./tools/own >.buildpacks
	commit good
	pushed
	try_bad() {
		echo "$1" >.buildpacks
		commit bad
		push
		refuses
		has "$2"
	}
	try_bad ./tools/none 'the repository has no buildpack in ./tools/none'
	try_bad ../x 'is not a folder of the repository'
	try_bad nodejs 'there is no buildpack named nodejs'
	try_bad git@example.com:x.git 'over ssh, for which a build has no key'
	try_bad php 'the buildpack php finds nothing in this repository'
	try_bad "http://$SERVER/missing.git" 'could not be fetched'
	try_bad "http://$SERVER/missing.tgz" 'could not be fetched'
	try_bad "http://$SERVER/none.tgz" 'is no buildpack'
	try_bad "http://$SERVER/git.git#no-such-ref" 'could not be fetched'
	touch no-own
	try_bad ./tools/own 'its bin/detect says no'
	rm no-own
	sed -i '2i exit 7' tools/own/bin/compile
	try_bad ./tools/own 'failed with status 7'
	sed -i '2c curl -sS http://no-such.invalid/' tools/own/bin/compile
	sed -i '3c exit 1' tools/own/bin/compile
	try_bad ./tools/own 'the build tried to reach no-such.invalid, which cannot be looked up from here'
	equal 200 "$(code_of bp-bad.localhost)"
}
