# shellcheck shell=sh
# install_packages DIR CACHE
install_packages() {
	cd "$1" || return 1
	export HOME=/tmp BUN_INSTALL_CACHE_DIR="$2/bun" CI=true NO_COLOR=1
	for f in /usr/local/etc/npmrc /etc/npmrc; do
		[ -n "$npm_config_registry" ] || [ ! -f $f ] ||
			npm_config_registry=$(sed -n 's/^[[:space:]]*registry[[:space:]]*=[[:space:]]*//p' $f | tail -n 1)
	done
	[ -z "$npm_config_registry" ] || export npm_config_registry
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
	set --
	if [ -f bun.lock ] || [ -f bun.lockb ]; then set -- --frozen-lockfile; fi
	[ -n "$("$BERTH_BUILD" json package.json scripts/build)" ] || set -- "$@" --production
	echo "-----> Installing packages (bun install)"
	bun install --no-progress --no-summary --backend=copyfile "$@"
}
