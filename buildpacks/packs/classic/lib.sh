# The list of buildpacks that the app names; read by all scripts of this pack.
# shellcheck shell=sh disable=SC2034 # used by those who read this

# entries: in the app's folder; one a line. What was set for the app, else .buildpacks, else app.json.
entries() {
	if [ -n "$BERTH_BUILDPACKS" ]; then
		printf '%s\n' "$BERTH_BUILDPACKS"
	elif [ -f .buildpacks ]; then
		cat .buildpacks
	else
		printf '%s\n' "$BERTH_APP_BUILDPACKS"
	fi | tr -d '\r' | sed -e 's/^[[:space:]]*//; s/[[:space:]]*$//' -e '/^#/d; /^$/d'
}

# What Heroku calls its own are berth's of the language.
shorthand() {
	case $1 in
	heroku/nodejs) echo node ;;
	heroku/gradle | heroku/java | heroku/jvm) echo java ;;
	heroku/*[!a-z]*) echo "$1" ;;
	heroku/*) echo "${1#heroku/}" ;;
	*) echo "$1" ;;
	esac
}

# kind ENTRY: "builtin NAME", "path DIR", "git URL REF", "tar URL"; or 1 with a sentence.
kind() {
	entry=$(shorthand "$1")
	case $entry in
	*[!A-Za-z0-9._/:\#@%?\&=+,~-]*)
		echo "the buildpack $1 holds a character that no address needs"
		return 1
		;;
	./* | ../* | /*)
		case $entry/ in
		/* | */../* | ../*)
			echo "the buildpack $1 is not a folder of the repository"
			return 1
			;;
		esac
		[ -f "$entry/bin/compile" ] || {
			echo "the repository has no buildpack in $1: there is no $1/bin/compile"
			return 1
		}
		echo "path $entry"
		;;
	host:*)
		case $entry in *[!a-z0-9:-]*) ;; *) [ ! -f "$packs/host/${entry#host:}/bin/compile" ] || {
			echo "path $packs/host/${entry#host:}"
			return 0
		} ;; esac
		echo "this host has no buildpack ${entry#host:}: root puts it into the folder buildpacks of berth's state, and restarts berth"
		return 1
		;;
	http://*.tgz | https://*.tgz | http://*.tar.gz | https://*.tar.gz | http://*.tar | https://*.tar | \
		http://*.tbz | https://*.tbz | http://*.tar.bz | https://*.tar.bz | http://*.tar.bz2 | https://*.tar.bz2 | \
		http://*.tar.xz | https://*.tar.xz) echo "tar $entry" ;;
	http://* | https://* | git://*)
		ref=
		case $entry in *\#*) ref=${entry#*\#} ;; esac
		case $ref in -*)
			echo "the buildpack $1 names no branch, tag or commit behind #"
			return 1
			;;
		esac
		echo "git ${entry%%\#*} $ref"
		;;
	*@*:* | ssh://* | git+ssh://*)
		echo "the buildpack $1 would be fetched over ssh, for which a build has no key: name it by https"
		return 1
		;;
	*:* | */*)
		echo "the buildpack $1 is neither a name of berth's, a folder of the repository (./NAME) or of the host (host:NAME), nor an address that begins with https://, http:// or git://"
		return 1
		;;
	classic) echo "there is no buildpack named $1" && return 1 ;;
	*)
		[ -x "$packs/$entry/bin/plan" ] || {
			echo "there is no buildpack named $1"
			return 1
		}
		echo "builtin $entry"
		;;
	esac
}

# each_kind: the kinds of all entries, one a line; ends with "error: sentence" at the first that is none.
each_kind() {
	entries | while read -r line; do
		kind "$line" || break
	done
}

# short ENTRY: what a person calls it
short() {
	name=${1%%\#*}
	name=${name%/}
	name=${name##*/}
	name=${name#host:}
	echo "${name%.git}"
}
