# What decides how a Ruby app is installed; read by plan, deps and compile.
# shellcheck shell=sh

has_gems() {
	[ -f Gemfile ] && grep -qE '^[[:space:]]*(gem|gemspec|eval_gemfile)\b' Gemfile
}

# Gems come as Debian's packages, which apt.txt names.
debian_gems() {
	[ -f apt.txt ] && grep -qE '(^|[[:space:]])(ruby-|rails|puma|rake|thin|unicorn)' apt.txt
}

# A gem that is a folder of the repository.
install_needs_tree() {
	grep -qE '^[[:space:]]*gemspec\b|path:|:path' Gemfile
}

# bundle_environment CACHE
bundle_environment() {
	export HOME=/tmp BUNDLE_WITHOUT=development:test BUNDLE_USER_HOME=/tmp/bundle BUNDLE_DISABLE_VERSION_CHECK=1 BUNDLE_SILENCE_ROOT_WARNING=1
	export BUNDLE_JOBS=2 BUNDLE_RETRY=1 BUNDLE_APP_CONFIG=/tmp/bundle-config BUNDLE_GLOBAL_GEM_CACHE=true BUNDLE_USER_CACHE="$1/bundle"
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
	debian_gems || export BUNDLE_PATH=/app/vendor/bundle
}

# install_gems DIR CACHE
install_gems() {
	cd "$1" || return 1
	bundle_environment "$2"
	# Debian's gems are never those that another machine locked.
	if debian_gems; then
		echo "-----> Finding gems among Debian's packages (bundle install --local)"
		bundle install --local --quiet && return 0
		status=$?
		echo " !     apt.txt must name Debian's package of each gem in the Gemfile (ruby-NAME), and no other version"
		return $status
	fi
	[ ! -f Gemfile.lock ] || export BUNDLE_FROZEN=true
	set --
	[ ! -d vendor/cache ] || set -- --local
	echo "-----> Installing gems (bundle install)"
	bundle install --quiet "$@" && return 0
	status=$?
	echo " !     Where no index of gems is reachable, commit them (bundle cache), or name Debian's packages in"
	echo " !     apt.txt (ruby-sinatra)."
	return "$status"
}
