# The manual: what README.md and docs/*.md show is run here, page by page, by a reader of the pages themselves
# (tests/lib/manual.py says how); what a real machine would be needed for is marked there, and counted.
bats_require_minimum_version 1.5.0

manual() { /usr/bin/python3 "$BERTH_SOURCE/tests/lib/manual.py" "$@"; }
pages() { printf '%s\n' "$BERTH_SOURCE"/README.md "$BERTH_SOURCE"/docs/*.md; }

setup_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	page_host "$BATS_FILE_TMPDIR/bin"
	berth domains:set-global example.com >/dev/null
	app blog static-site
	pushed
	berth apps:create api >/dev/null
	berth members:add bob >/dev/null
}

teardown_file() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	page_host_end "$BATS_FILE_TMPDIR/bin"
	local pids=()
	for name in blog blog-test journal api site myapp shop hello; do
		berth apps:destroy "$name" --force >/dev/null 2>&1 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}" || :
	for name in shop-data hello-data blog-data; do berth volumes:destroy "$name" --force >/dev/null 2>&1 || :; done
	for name in ann bob; do berth members:remove "$name" >/dev/null 2>&1 || :; done
	berth images:untag blog-base:1 >/dev/null 2>&1 || :
	berth domains:clear-global >/dev/null
}

# The page's own folder, with what somebody who reads it has; a folder of examples/ as a repository, where it is one's own.
setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	PATH=$BATS_FILE_TMPDIR/bin:$PATH
	export GIT_SSH_COMMAND=$BATS_FILE_TMPDIR/bin/ssh
	cd "$BATS_TEST_TMPDIR" || return
	ssh-keygen -q -t ed25519 -N '' -C ann -f ann
}

teardown() {
	berth members:remove ann >/dev/null 2>&1 || :
	berth apps:destroy shop --force >/dev/null 2>&1 || :
}

checkout() {
	cp -a "$BERTH_SOURCE/examples/$1/." .
	printf '%s\n' 'ann*' >.gitignore
	git init -q
	commit first
}

shown() {
	run manual run "$BERTH_SOURCE/$1"
	printf '# %s\n' "$output" | tail -n 1 >&3
	ok
}

@test "every berth command that a page names is one, with options and arguments that it takes" {
	# shellcheck disable=SC2046 # names without blanks
	run -0 manual parse "$BERTH_PREFIX/bin/berth" $(pages) "$BERTH_SOURCE/buildpacks/README.md"
	printf '# %s\n' "$output" >&3
	[ "${output%% *}" -gt 300 ]
	printf '`berth config:sett blog A=1`\n\n    berth logs blog --sinse 2h\nuse `ps:skale` then\nand `berth\n' >wrong.md
	run -1 manual parse "$BERTH_PREFIX/bin/berth" wrong.md
	has 'wrong.md line 1' "no command 'config:sett'" 'wrong.md line 3' 'knows no option --sinse' 'wrong.md line 4: there is no command ps:skale' 'wrong.md line 5: a span goes'
}

@test "what a page shows must be what is printed" {
	printf '```console\n$ echo one 12 three\none 7 …\n$ false # exit status 1\n```\n```sh\nfalse\n```\n' >wrong.md
	run -1 manual run wrong.md
	has 'wrong.md line 7: false'
	printf '```console\n$ echo one; echo two\none\n```\n' >wrong.md
	run -1 manual run wrong.md
	has 'wrong.md line 2: echo one; echo two' 'is shown with' 'and printed'
}

@test "every page with commands to run is run here, and what is not run says why" {
	# shellcheck disable=SC2046
	manual tested $(pages) | while read -r name; do
		grep -q "shown ${name#"$BERTH_SOURCE"/}\$" "$BATS_TEST_FILENAME" || fail "no test runs $name"
	done
	# shellcheck disable=SC2046
	run -0 manual norun "$BERTH_PREFIX/bin/berth" "$BERTH_SOURCE/tests/e2e/examples.walk" $(pages)
	printf '%s\n' "$output" | sed 's/^/# /' >&3
	printf 'never why: berth ps:stop api\n' >walk
	printf '`berth ps:stop APP` `berth ps:stop` `berth ps:stop NAME`\n' >wrong.md
	run -1 manual norun "$BERTH_PREFIX/bin/berth" walk wrong.md
	has '3 commands in 1 pages, 0 of them run' 'wrong.md line 1: berth ps:stop APP is not run' 'walk: no page shows: berth ps:stop api'
}

@test "every link between pages leads somewhere" {
	# shellcheck disable=SC2046
	run -0 manual links $(pages)
	printf '# %s\n' "$output" >&3
	printf '# One two: `three`\n[a](#one-two-three) [b](#one) [c](none.md)\n' >wrong.md
	run -1 manual links wrong.md
	has 'no heading one' 'none.md is not there' '3 links in 1 pages, 2 lead nowhere'
}

@test "README" {
	checkout static-site
	shown README.md
}

@test "installing" {
	shown docs/INSTALL.md
}

@test "the first app" {
	shown docs/FIRST_APP.md
}

@test "apps" {
	git init -q
	git remote add berth berth@HOST:blog
	git fetch -q berth
	git checkout -q main
	shown docs/APPS.md
}

@test "the API" {
	berth config:unset blog COLOUR --no-restart >/dev/null
	shown docs/API.md
}

@test "logs" {
	shown docs/LOGS.md
}

@test "drains" {
	shown docs/DRAINS.md
}

@test "webhooks" {
	shown docs/WEBHOOKS.md
}

@test "images" {
	shown docs/IMAGES.md
}

@test "access" {
	shown docs/ACCESS.md
}

@test "apply" {
	cat >host.json <<-'END'
		{"apps": {"shop": {
			"config": {"TITLE": "My shop", "SECRET": "x"}, "formation": {"web": 1},
			"domains": ["shop.example.org"], "settings": {"http": {"timeout": 45}}
		}}}
	END
	shown docs/APPLY.md
}

@test "coming from elsewhere" {
	checkout static-site
	printf "DOKKU_APP_TYPE='x'\nDATABASE_URL='postgres://x'\nSECRET_KEY='y z'\n" >shop.env
	mkdir kept
	echo file >kept/file
	tar c -C kept . >shop-data.tar
	shown docs/MIGRATING.md
}
