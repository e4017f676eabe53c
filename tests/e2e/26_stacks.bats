# A newer base image, and apps that move onto it.

setup() {
	. "$BERTH_SOURCE/tests/lib/e2e.bash"
	TRY_SECONDS=900 # a base image is made
}

# The base image as if it had been made when one package was older: what is recorded of it says so.
age_base() {
	sqlite3 -cmd '.timeout 10000' "$BERTH_STATE/control/berth.db" "UPDATE layer SET meta=json_set(meta, '$.packages.tzdata', '2001a-1')
		WHERE kind='stack' AND key='debian-12'"
}
base_of() { berth stacks:report --format json | jq -r ".[] | select(.app == \"$1\") | $2"; }

@test "stacks:update makes a newer base, and apps:rebase moves an app onto it without building" {
	app s-plain
	pushed
	app s-tools
	echo hello >apt.txt
	commit 'with a package'
	pushed
	equal true "$(base_of s-tools .current)"
	try berth apps:rebase s-plain
	ok
	has 'on the newest base image already'
	age_base
	try berth stacks:update
	ok
	has 'tzdata: 2001a-1 -> ' 'apps:rebase APP'
	equal '1 false' "$(base_of s-tools '"\(.behind | length) \(.current)"')"
	try berth stacks:report
	has '1 package behind'
	equal 2 "$(berth stacks:list --format json | jq length)"
	local before
	before=$(berth run s-tools -- cat /app/page.txt)
	for a in s-plain s-tools; do
		try berth apps:rebase "$a"
		ok
		has 'Moving' 'Released v'
		lacks 'building it again'
		equal true "$(base_of "$a" .current)"
		serves "$a" "$before"
	done
	# dpkg knows the packages of both: its list has those of the base and what the app asked for
	try berth run s-tools -- sh -c 'dpkg -s hello | grep ^Status; dpkg -s tzdata | grep ^Version; hello'
	ok
	has 'install ok installed' 'Hello, world!'
	lacks 2001a-1
	equal rebase "$(berth builds:list s-tools --format json | jq -r '.[0].what')"
	berth rollback s-tools
	equal false "$(base_of s-tools .current)"
	serves s-tools "$before"
}
