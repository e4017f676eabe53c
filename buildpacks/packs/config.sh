# The app's config for a build that reads it; read by compile scripts.
# shellcheck shell=sh

# read_config ENV_DIR: exports all but what would lead the build astray.
read_config() {
	for f in "$1"/*; do
		name=${f##*/}
		case $name in
		'*' | PATH | GIT_DIR | CPATH | CPPATH | LD_PRELOAD | LD_LIBRARY_PATH | LIBRARY_PATH | HOME | PORT | NODE_ENV) continue ;;
		esac
		value=$(cat "$f" && echo x) || exit 1
		export "$name=${value%x}"
	done
}
