# What composer.json says; read by plan, deps and compile.
# shellcheck shell=sh disable=SC2034 # used by those who read this

# read_composer: in the app's folder. 1 with "error: sentence" printed.
read_composer() {
	wanted='' php_range='' autoload='' repositories='' scripts=''
	[ -f composer.json ] || return 0
	if ! values=$("$BERTH_BUILD" json composer.json require/@ require/php autoload repositories scripts/post-install-cmd \
		require-dev/@); then
		printf '%s\n' "$values"
		return 1
	fi
	{
		read -r wanted
		read -r php_range
		read -r autoload
		read -r repositories
	} <<VALUES
$values
VALUES
	return 0
}

# Whether Composer has something to do: packages beside PHP itself and its extensions, or classes to find.
needs_composer() {
	[ ! -f vendor/autoload.php ] || return 1
	[ -z "$autoload" ] || return 0
	for w in $wanted; do
		case $w in php | php-64bit | ext-* | lib-* | composer-*) ;; *) return 0 ;; esac
	done
	return 1
}

# Installing reads folders of the repository: packages that lie in it.
install_needs_tree() {
	[ -n "$repositories" ]
}

# composer_environment CACHE
composer_environment() {
	export HOME=/tmp COMPOSER_HOME=/tmp/composer COMPOSER_CACHE_DIR="$1/composer" COMPOSER_NO_INTERACTION=1 COMPOSER_NO_AUDIT=1
}

# composer_install OPTION…
composer_install() {
	echo "-----> Installing packages with Composer"
	composer install --no-dev --no-ansi --no-progress --prefer-dist "$@" && return 0
	status=$?
	echo " !     Composer could not install the packages. Where no package index is reachable, commit vendor/"
	echo " !     (composer install --no-dev), or keep the packages in the repository (a repository of type path)."
	return "$status"
}
