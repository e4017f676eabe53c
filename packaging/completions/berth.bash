# bash completion for berth(1): it is asked itself, so this never grows old.
_berth() {
	local words cur i
	# bash takes the ':' of a command's name for the end of a word.
	words=() cur=${COMP_LINE:0:COMP_POINT}
	read -r -a words <<<"$cur"
	[[ $cur == *[[:space:]] ]] && words+=('')
	mapfile -t COMPREPLY < <("${words[0]}" complete "${words[@]:1}" 2>/dev/null)
	cur=${words[-1]}
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=${COMPREPLY[i]#"${cur%"${cur##*:}"}"}; done
	fi
}
complete -o default -F _berth berth
