# Packages from the npm registry that the host uses; read by the toolchain scripts of node, deno and bun.
# The stack has neither curl nor npm: apt's own downloader fetches, and checksums are checked here.
# shellcheck shell=sh disable=SC2034,SC2154 # variables are for those who read this

fail() {
	printf ' !     %s\n' "$@"
	exit 1
}

key() {
	printf '%s\n' "$text" | sed -n "s/^$1 //p" | head -n 1
}

# setting NAME: from the host's npmrc
setting() {
	for f in /usr/local/etc/npmrc /etc/npmrc; do
		[ ! -f $f ] || sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" $f
	done | tail -n 1 | tr -d '"'
}

apt_get() {
	apt-get -qq -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}

# The host's setting; else the default that npm itself has, read from Debian's npm package.
find_registry() {
	registry=${npm_config_registry:-${NPM_CONFIG_REGISTRY:-$(setting registry)}}
	if [ -z "$registry" ]; then
		apt_get update
		apt_get download npm
		registry=$(dpkg-deb --fsys-tarfile npm_*.deb | tar -xO ./usr/share/nodejs/npm/lib/utils/config/definitions.js |
			sed -n "/^define('registry'/,/^})/s/.*default: '\(http[^']*\)'.*/\1/p")
		[ -n "$registry" ] || fail "No npm registry is known: set registry= in the host's /etc/npmrc"
	fi
	registry=${registry%/}
}

# fetch URL-PATH FILE
fetch() {
	/usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file \
		"$registry/$1" "$2" >fetch.log 2>&1 && return 0
	grep -v '^W: ' fetch.log || true
	fail "Could not fetch $1 from the npm registry"
}

# choose PACKAGE RANGE [PREFERRED]: sets version, integrity and sum
choose() {
	mkdir -p "$(dirname "$1")"
	fetch "$(echo "$1" | sed 's,/,%2f,')" "$1.json"
	version=$("$BERTH_BUILD" json "$1.json" versions/@ | tr ' ' '\n' | "$BERTH_BUILD" semver "$2" "${3:-*}") || {
		echo "Newest of each major version:"
		"$BERTH_BUILD" json "$1.json" versions/@ | tr ' ' '\n' | grep -E '^[0-9]+\.[0-9]+\.[0-9]+$' |
			sort -t. -k1,1n -k2,2n -k3,3n | awk -F. '$1 != m && NR > 1 { print last } { m = $1; last = $0 } END { print last }' |
			tail -n 12 | tr '\n' ' '
		echo
		fail "No version of $1 satisfies $2"
	}
	integrity=$("$BERTH_BUILD" json "$1.json" "versions/$version/dist/integrity" | tr ' ' '\n' | sed -n 's/^sha512-//p')
	sum=$("$BERTH_BUILD" json "$1.json" "versions/$version/dist/shasum")
}

# download PACKAGE: the chosen version as PACKAGE.tgz, checked
download() {
	fetch "$1/-/${1##*/}-$version.tgz" "$1.tgz"
	if [ -n "$integrity" ]; then
		got=$(sha512sum "$1.tgz" | cut -d ' ' -f 1 | tr a-f A-F | basenc -d --base16 | base64 -w 0)
		[ "$got" = "$integrity" ] || fail "The checksum of $1 $version is wrong"
	else
		[ "$(sha1sum "$1.tgz" | cut -d ' ' -f 1)" = "$sum" ] || fail "The checksum of $1 $version is wrong"
	fi
}

# host_settings: the proxy, which apt knows by the environment only, and the registry
host_settings() {
	for p in https-proxy proxy; do
		[ -n "$https_proxy$HTTPS_PROXY" ] || https_proxy=$(setting $p)
	done
	[ -z "$https_proxy" ] || export https_proxy
	find_registry
}
