# What package.json says, as shell variables; read by plan, deps and compile.
# shellcheck shell=sh disable=SC2034 # used by those who read this

# read_package DIR: 0, or 1 with "error: sentence" printed.
read_package() {
	if ! values=$("$BERTH_BUILD" json "$1/package.json" engines/node engines/npm packageManager main \
		scripts/start scripts/prestart scripts/poststart scripts/build scripts/heroku-prebuild \
		scripts/heroku-postbuild scripts/heroku-cleanup scripts/preinstall scripts/install \
		scripts/postinstall scripts/prepare workspaces 'dependencies/*' 'devDependencies/*' \
		'optionalDependencies/*'); then
		printf '%s\n' "$values"
		return 1
	fi
	{
		read -r engine_node
		read -r engine_npm
		read -r manager
		read -r main
		read -r start
		read -r prestart
		read -r poststart
		read -r build
		read -r prebuild
		read -r postbuild
		read -r cleanup
		read -r preinstall
		read -r install
		read -r postinstall
		read -r prepare
		read -r workspaces
		read -r dependencies
		read -r dev_dependencies
		read -r optional_dependencies
	} <<VALUES
$values
VALUES
	return 0
}

has_dependencies() {
	[ -n "$dependencies$dev_dependencies$optional_dependencies" ]
}

has_build() {
	[ -n "$build$prebuild$postbuild$cleanup" ]
}

# Whether installing needs more of the repository than package.json and its lock file: then it is part of compile.
install_needs_tree() {
	[ -z "$preinstall$install$postinstall$prepare$workspaces" ] || return 0
	case " $dependencies $dev_dependencies $optional_dependencies" in
	*' file:'* | *' link:'* | *' workspace:'* | *' .'/* | *' ../'*) return 0 ;;
	esac
	return 1
}
