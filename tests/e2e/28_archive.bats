# A source archive becomes a commit, and then a deploy like any other.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	dir=$BATS_FILE_TMPDIR
}

# from_archive APP FILE [ARG…]: over ssh, as a user would.
from_archive() {
	local name=$1 file=$2
	shift 2
	run timeout --foreground 120 ssh -F "$SSH_CONFIG" berth git:from-archive "$name" - "$@" <"$file"
}

objects() { find "$BERTH_STATE/repos/$1.git/objects" -type f ! -name '*.idx' ! -name '*.rev' | wc -l; }

@test "an archive deploys as the first commit of an app, and a push goes on from there" {
	app ar-one
	page_is 'archive 1'
	git archive --format=tar.gz --prefix=project-1.0/ HEAD >"$dir/one.tar.gz"
	berth apps:create ar-one >/dev/null
	from_archive ar-one "$dir/one.tar.gz" --message "'version 1'" --author "'Ann <ann@example.com>'"
	ok
	has 'project-1.0/, which is taken off' 'Released v1'
	serves ar-one 'archive 1'
	equal 'version 1' "$(json releases ar-one | jq -r '.[0].description')"
	git fetch -q berth
	equal 'version 1|Ann <ann@example.com>|' "$(git log -1 --format='%s|%an <%ae>|%P' berth/main)"
	equal "$(git rev-parse 'HEAD^{tree}')" "$(git rev-parse 'berth/main^{tree}')"
	git reset -q --hard berth/main
	page_is 'pushed 2'
	pushed
	serves ar-one 'pushed 2'
}

@test "what an archive of the same files deploys, and --force" {
	cd "$WORK/ar-one"
	git archive --format=zip HEAD >"$dir/same.zip"
	from_archive ar-one "$dir/same.zip"
	ok
	has 'Nothing changed' '--force'
	equal 2 "$(release_of ar-one)"
	from_archive ar-one "$dir/same.zip" --force
	ok
	has 'Released v3'
	git fetch -q berth
	equal "$(git rev-parse HEAD)" "$(git rev-parse berth/main^)"
	berth rollback ar-one v1 >/dev/null
	serves ar-one 'archive 1'
}

@test "on the host a file or a folder is named, and an app that does not exist is not made" {
	cd "$WORK/ar-one"
	git reset -q --hard berth/main
	page_is 'host 4'
	git archive HEAD | zstd -q >"$dir/host.tar.zst"
	try berth git:from-archive ar-one "$dir/host.tar.zst"
	ok
	serves ar-one 'host 4'
	# all of it belongs to who receives pushes, and is not root's
	equal '' "$(find "$BERTH_STATE/repos/ar-one.git" ! -user "$BERTH_SSH_USER")"
	printf 'host 5\n' >page.txt
	local before
	before=$(objects ar-one)
	try berth git:from-archive ar-one . # with its .git, and what is not committed
	ok
	equal 3 $(($(objects ar-one) - before)) # the page, the folder, the commit
	has 'left out'
	serves ar-one 'host 5'
	try with_half_tar berth git:from-archive ar-one .
	exits 1
	has 'could not read all'
	try berth git:from-archive ar-none "$dir/host.tar.zst"
	exits 20
	try berth git:from-archive ar-one https://example.com/x.tar.gz
	exits 2
	has 'curl'
	try remote git:from-archive ar-one "$dir/host.tar.zst"
	exits 2
	has 'file of the host'
	from_archive ar-one "$dir/host.tar.zst" --author nobody
	exits 2
	has 'NAME <MAIL>'
}

@test "a build that fails leaves the branch and the release as they were" {
	cd "$WORK/ar-one"
	local before
	before=$(git --git-dir="$BERTH_STATE/repos/ar-one.git" rev-parse main)
	rm -rf "$dir/bad"
	mkdir "$dir/bad"
	echo 'this is no Procfile' >"$dir/bad/Procfile"
	try berth git:from-archive ar-one "$dir/bad"
	exits 1
	has 'Procfile' 'still serving'
	lacks 'git refused'
	equal "$before" "$(git --git-dir="$BERTH_STATE/repos/ar-one.git" rev-parse main)"
	serves ar-one 'host 5'
}

no_process_of() { [ -z "$(app_pids "$1" "$2")" ]; }

@test "a client that goes cancels the deploy, over ssh and on the host" {
	local before client way
	before=$(git --git-dir="$BERTH_STATE/repos/ar-one.git" rev-parse main)
	rm -rf "$dir/slow"
	cp -a "$BERTH_SOURCE/tests/e2e/apps/probe" "$dir/slow"
	printf 'web: exec perl serve.pl\nrelease: echo waiting; exec sleep 100\n' >"$dir/slow/Procfile"
	tar -C "$dir/slow" -cf "$dir/slow.tar" .
	for way in ssh host; do
		if [ $way = ssh ]; then
			env --default-signal=INT ssh -F "$SSH_CONFIG" berth git:from-archive ar-one - <"$dir/slow.tar" >"$dir/out" 2>&1 3>&- &
		else
			env --default-signal=INT setsid berth git:from-archive ar-one "$dir/slow.tar" >"$dir/out" 2>&1 3>&- &
		fi
		client=$!
		wait_for 30 grep -q waiting "$dir/out" || fail "$(cat "$dir/out")"
		wait_for 10 has_pids ar-one 'sleep 100'
		# a terminal's Ctrl-C is for all that it has started
		if [ $way = ssh ]; then kill -INT "$client"; else kill -INT -- "-$client"; fi
		wait_for 10 not_running "$client"
		wait_for 20 no_process_of ar-one sleep
		equal "$before" "$(git --git-dir="$BERTH_STATE/repos/ar-one.git" rev-parse main)"
		serves ar-one 'host 5'
	done
}

@test "hostile archives are refused with a reason, or harmless; the app serves on" {
	local f want text before canary=$BERTH_TEST/canary
	echo untouched >"$canary"
	mkdir -p "$dir/hostile"
	APP_SOURCE=$BERTH_SOURCE/tests/e2e/apps/probe /usr/bin/python3 "$BERTH_SOURCE/tests/lib/hostile_source.py" \
		"$dir/hostile" "$canary" >"$dir/list"
	berth apps:destroy ar-hostile --force >/dev/null 2>&1 || :
	berth apps:create ar-hostile >/dev/null
	printf 'host 5\n' >"$dir/body"
	load_start ar-one --expect "$dir/body"
	while read -r f want text; do
		before=$(git --git-dir="$BERTH_STATE/repos/ar-hostile.git" count-objects -v 2>/dev/null || :)
		run timeout 60 ssh -F "$SSH_CONFIG" shared git:from-archive ar-hostile - <"$dir/hostile/$f"
		lacks 'went away'
		has "$text" || fail "$f"
		if [ "$want" = taken ]; then
			ok || fail "$f"
			# and is an app like any other
			equal 'page 1' "$(page ar-hostile)"
		else
			exits 1 || fail "$f"
			lacks 'Released'
			equal "$before" "$(git --git-dir="$BERTH_STATE/repos/ar-hostile.git" count-objects -v 2>/dev/null || :)"
		fi
		equal untouched "$(cat "$canary")"
	done < <(sed 's/^plain.tar taken/& Released/' "$dir/list")
	load_stop 'another app'
	equal '' "$(find "$BERTH_STATE/repos" -name 'tmp_objdir*')"
	# names that differ in form alone are files of their own
	run timeout 60 ssh -F "$SSH_CONFIG" shared git:from-archive ar-hostile - <"$dir/hostile/forms.tar"
	ok
	inside ar-hostile 'LC_ALL=C; cat forms/*'
	equal 3214 "$output"
}
