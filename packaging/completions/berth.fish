# fish completion for berth(1): it is asked itself, so this never grows old.
complete -c berth -f -a '(set -l words (commandline -opc); berth complete $words[2..-1] (commandline -ct) 2>/dev/null)'
