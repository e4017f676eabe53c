# Apps under another name, apps made of others, previews of branches, and what a push says beside its commits.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	. "$BERTH_SOURCE/tests/lib/kill.bash"
}

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	app pv-one
	pushed
}

teardown_file() {
	berth members:remove pv-ann >/dev/null 2>&1 || :
	berth apps:list -q | awk '$1 ~ /^pv-/ { print $1 }' | while read -r name; do
		berth apps:destroy "$name" --force --volumes destroy >/dev/null 2>&1 || :
	done
}

number_of() { json apps:report "$1" | jq .id; }

@test "an app gets another name: the same instance, no request lost, and the old remote is told" {
	local id before
	berth domains:add pv-one www-pv-one.localhost
	id=$(number_of pv-one)
	before=$(app_parents pv-one)
	load_start www-pv-one --fresh 0
	try remote apps:rename pv-one pv-two
	ok
	has "pv-one is pv-two now" "BERTH_APP is pv-two"
	load_stop
	equal "$id" "$(number_of pv-two)"
	equal "$before" "$(app_parents pv-one)" # it still has the old BERTH_APP
	equal 200 "$(code_of pv-two.localhost)"
	equal 404 "$(code_of pv-one.localhost)"
	equal 1 "$(release_of pv-two)"
	try berth events pv-two
	has apps:create apps:rename
	try berth logs pv-two --grep 'v1 serves'
	has 'v1 serves'
	# the name is not another's, nor is the hostname that comes with it
	try berth apps:rename pv-two pv-two
	fails
	berth apps:create pv-young >/dev/null
	berth domains:add pv-young pv-shop.localhost >/dev/null
	try berth apps:rename pv-two pv-shop
	fails
	has 'pv-shop.localhost' 'domain of the app pv-young'
	berth apps:destroy pv-young --force >/dev/null
	cd "$WORK/pv-one"
	page_is 'after it'
	push
	fails
	has 'no app named pv-one' 'called pv-two now'
	push berth:pv-two HEAD:main
	ok
	has 'Released v2'
	serves pv-two 'after it'
	inside pv-two 'echo $BERTH_APP'
	equal pv-two "$output"
}

renaming() { [ -n "$(sqlite3 "$BERTH_STATE/control/berth.db" "SELECT 1 FROM app WHERE rename_to='$1'")" ]; }

@test "a rename that is cut off by kill -9 is completed at the next start" {
	local worker control
	worker=$(worker_pid)
	control=$(control_pid)
	kill -STOP "$worker"
	berth apps:rename pv-two pv-one >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local asker=$!
	wait_for 5 renaming pv-one || { kill -CONT "$worker"; fail 'not begun'; }
	kill -9 "$control"
	kill -CONT "$worker"
	! wait "$asker" || fail 'control was killed, and it went well'
	wait_for 10 berth_answers
	wait_for 5 serves pv-one 'after it'
	equal 404 "$(code_of pv-two.localhost)"
	[ -d "$BERTH_STATE/repos/pv-one.git" ]
	[ ! -e "$BERTH_STATE/repos/pv-two.git" ]
	database_sound
	cd "$WORK/pv-one"
	page_is 'back'
	pushed
	serves pv-one back
	# one that something is pushed to stays where it is
	(exec 9<"$BERTH_STATE/repos/pv-one.git"; flock -s 9; sleep 5 9<&- 8<"$BERTH_STATE/repos/pv-one.git" & flock -s 9
		run berth apps:rename pv-one pv-three
		fails
		has 'something is pushed to pv-one')
	serves pv-one back
}

@test "a clone is an app of its own, with the same release, config and, where asked, data" {
	berth config:set pv-one COLOUR=blue >/dev/null
	berth resource:limit pv-one --memory 96M >/dev/null
	berth volumes:create pv-data >/dev/null
	berth volumes:mount pv-one pv-data:/data >/dev/null
	inside pv-one 'echo first >/data/file; echo $COLOUR'
	equal blue "$output"
	try berth apps:clone pv-one pv-copy --with-data
	ok
	has 'Created pv-copy' 'Copying volume pv-data to pv-copy-pv-data' 'Released v1'
	serves pv-copy back
	inside pv-copy 'cat /data/file; echo $COLOUR; echo $BERTH_APP; echo second >/data/file'
	equal "first blue pv-copy" "$(echo $output)"
	inside pv-one 'cat /data/file'
	equal first "$output"
	equal 100663296 "$(json resource:report pv-copy | jq .web.memory.computed)"
	equal '' "$(json domains:report pv-copy | jq -r '.app // .domains // [] | .[]' | grep www || :)"
	try berth ps:rebuild pv-copy
	fails
	has 'pv-copy has no commit to build'
	try berth events pv-copy
	has 'a clone of pv-one'
	# what they share stays when the first one goes
	berth apps:clone pv-copy pv-bare --skip-deploy >/dev/null
	equal created "$(json apps:report pv-bare | jq -r .state)"
	try berth apps:clone pv-one pv-copy
	fails
	has 'already an app named pv-copy'
	berth apps:destroy pv-one --force --volumes destroy
	berth images:prune >/dev/null
	berth ps:restart pv-copy >/dev/null
	serves pv-copy back
}

preview_of() { json previews:list "$1" | jq -r --arg b "$2" '.[] | select(.branch == $b) | .app'; }
gone() { ! berth apps:report "$1" >/dev/null 2>&1; }

@test "a branch makes a preview with its own hostname, config and volume, and deleting it destroys the preview" {
	app pv-web
	pushed
	berth config:set pv-web COLOUR=green >/dev/null
	berth volumes:create pv-store >/dev/null
	berth volumes:mount pv-web pv-store:/data >/dev/null
	inside pv-web 'echo parent >/data/file'
	git checkout -q -b Feature/x
	try berth previews:set pv-web enabled on
	ok
	berth previews:set pv-web volumes copy >/dev/null
	page_is 'the feature 2'
	push berth Feature/x
	ok
	has 'Preview pv-web-feature-x of Feature/x' 'Released v1' 'http://pv-web-feature-x.localhost'
	serves pv-web-feature-x 'the feature 2'
	serves pv-web 'page 1'
	inside pv-web-feature-x 'cat /data/file; echo $COLOUR $BERTH_PREVIEW; echo mine >/data/file'
	equal 'parent green Feature/x' "$(echo $output)"
	inside pv-web 'cat /data/file'
	equal parent "$output"
	# again, and two at once: one more preview, and the deploy branch
	git branch other
	git checkout -q main
	page_is 'page 2'
	git checkout -q Feature/x
	page_is 'the feature 3'
	push berth HEAD:refs/heads/Feature/x main other
	ok
	serves pv-web 'page 2'
	serves pv-web-feature-x 'the feature 3'
	serves pv-web-other 'the feature 2'
	equal 2 "$(release_of pv-web-feature-x)"
	equal pv-web-other "$(preview_of pv-web other)"
	equal 'ref: refs/heads/main' "$(cat "$BERTH_STATE/repos/pv-web.git/HEAD")"
	# its name, its limit, and what is no preview
	git branch feature-x
	git branch third
	berth previews:set pv-web limit 2 >/dev/null
	push berth feature-x third
	refuses
	has 'would be called pv-web-feature-x' 'the one of Feature/x' 'has 2 previews, which is its limit'
	push berth:pv-web-other HEAD:main
	fails
	has "the preview of pv-web's branch other"
	# a first push that fails makes none
	berth previews:set pv-web limit 3 >/dev/null
	git checkout -q third
	printf 'web: false\n' >Procfile
	commit broken
	push berth third
	refuses
	gone pv-web-third
	push berth --delete Feature/x
	ok
	gone pv-web-feature-x
	[ -z "$(preview_of pv-web Feature/x)" ]
	try berth volumes:list
	lacks pv-web-feature-x
	try berth events pv-web
	has previews:create previews:destroy
}

@test "a role on the parent is one on its previews; they expire, and go with their parent" {
	ssh-keygen -q -t ed25519 -N '' -f "$BATS_TEST_TMPDIR/key"
	berth members:add pv-ann "$BATS_TEST_TMPDIR/key.pub" --role view --app pv-web >/dev/null
	sed "s|$BERTH_TEST/client/key|$BATS_TEST_TMPDIR/key|" "$SSH_CONFIG" >"$BATS_TEST_TMPDIR/config"
	try ssh -F "$BATS_TEST_TMPDIR/config" berth apps:report pv-web-other
	ok
	try ssh -F "$BATS_TEST_TMPDIR/config" berth config:show pv-web-other
	fails
	has 'needs the role deploy on pv-web-other'
	try ssh -F "$BATS_TEST_TMPDIR/config" berth apps:report pv-copy
	exits 20
	berth members:remove pv-ann >/dev/null
	sqlite3 -cmd '.timeout 5000' "$BERTH_STATE/control/berth.db" "UPDATE preview SET pushed_us = pushed_us - 3600000000"
	berth previews:set pv-web expires 2h >/dev/null
	sleep 0.3
	equal pv-web-other "$(preview_of pv-web other)"
	berth previews:set pv-web expires 30m >/dev/null
	wait_for 10 gone pv-web-other
	wait_for 5 logged pv-web 'preview pv-web-other of other is gone'
	cd "$WORK/pv-web"
	git checkout -q other
	berth apps:rename pv-web pv-site
	page_is 'last of all'
	pushed berth:pv-site other
	serves pv-site-other 'last of all'
	berth apps:destroy pv-site --force
	gone pv-site-other
}
