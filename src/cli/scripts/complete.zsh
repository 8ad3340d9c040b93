#compdef limactl
# zsh completion for limactl: limactl itself is asked what may come next.

_limactl() {
    local out line value
    local -a values
    out=$("${(Q)words[1]}" @COMPLETE@ "${(@Q)words[2,CURRENT]}" 2>/dev/null) || return 1
    local -i directive=${out##*:}
    (( directive & 1 )) && return 1
    for line in "${(@f)${out%:*}}"; do
        [[ -n $line ]] || continue
        value=${${line%%$'\t'*}//:/\\:}
        if [[ $line == *$'\t'* ]]; then
            values+=("$value:${line#*$'\t'}")
        else
            values+=("$value")
        fi
    done
    # The value of --flag=value comes back alone.
    [[ ${words[CURRENT]} == -*=* ]] && compset -P '*='
    if (( ${#values} )); then
        if (( directive & 2 )); then
            _describe -V limactl values -S ''
        else
            _describe -V limactl values
        fi && return 0
    fi
    if (( directive & 16 )); then
        _files -/
    elif (( ! (directive & 4) )); then
        _files
    fi
}

if [[ ${funcstack[1]} == _limactl ]]; then
    _limactl "$@"
else
    compdef _limactl limactl
fi
