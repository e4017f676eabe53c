# shellcheck shell=sh
# deno_environment DIR
deno_environment() {
	export HOME=/tmp DENO_DIR="$1/.deno" DENO_NO_UPDATE_CHECK=1 DENO_NO_PROMPT=1 NO_COLOR=1
	# The host's registry, from its npmrc; certificates as the host has them.
	for f in /usr/local/etc/npmrc /etc/npmrc; do
		[ -n "$NPM_CONFIG_REGISTRY" ] || [ ! -f $f ] ||
			NPM_CONFIG_REGISTRY=$(sed -n 's/^[[:space:]]*registry[[:space:]]*=[[:space:]]*//p' $f | tail -n 1)
	done
	[ -z "$NPM_CONFIG_REGISTRY" ] || export NPM_CONFIG_REGISTRY
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export DENO_TLS_CA_STORE=system DENO_CERT=/etc/ssl/certs/ca-certificates.crt
}
