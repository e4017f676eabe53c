# Installs an app's packages with npm, yarn or pnpm; read by deps and compile, after package.sh.
# shellcheck shell=sh disable=SC2154 # variables of package.sh

# npm_environment CACHE_DIR
npm_environment() {
	export HOME=/tmp npm_config_cache="$1/npm" npm_config_store_dir="$1/pnpm" YARN_CACHE_FOLDER="$1/yarn"
	export npm_config_update_notifier=false npm_config_package_import_method=copy npm_config_fund=false
	export npm_config_logs_max=0 npm_config_audit=false npm_config_progress=false npm_config_loglevel=error CI=true NO_COLOR=1
	# The host's settings; npm below /usr/local would look in /usr/local/etc.
	[ -f /usr/local/etc/npmrc ] || [ ! -f /etc/npmrc ] || export npm_config_globalconfig=/etc/npmrc
	[ -n "$NODE_EXTRA_CA_CERTS" ] || [ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
		export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
	# Headers for native modules came with node; node-gyp would download them.
	! command -v make >/dev/null || export npm_config_nodedir=/usr/local
}

# install_packages DIR
install_packages() {
	cd "$1" || return 1
	choose_tool
	production=
	has_build || [ -n "$prepare" ] || production=1
	case $tool in
	pnpm)
		echo "-----> Installing packages from the lock file (pnpm install)"
		pnpm install --frozen-lockfile --reporter=append-only ${production:+--prod}
		;;
	yarn)
		echo "-----> Installing packages from the lock file (yarn install)"
		yarn install --frozen-lockfile --non-interactive --no-progress --silent ${production:+--production}
		;;
	npm) install_with_npm ;;
	esac
}

install_with_npm() {
	omit=--include=dev
	[ -z "$production" ] || omit=--omit=dev
	if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ]; then
		echo "-----> Installing packages from the lock file (npm ci)"
		npm ci "$omit" && return 0
		status=$?
		echo " !     npm ci failed. If it says that the lock file does not fit package.json:"
		echo " !     run npm install, commit package-lock.json and push again."
		return "$status"
	fi
	echo "-----> Installing packages (npm install; commit a package-lock.json for builds that repeat)"
	npm install "$omit" --no-save --no-package-lock
}
