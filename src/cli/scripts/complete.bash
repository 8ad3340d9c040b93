# bash completion for limactl: limactl itself is asked what may come next.

__limactl_complete() {
    local line=${COMP_LINE:0:COMP_POINT} word description out cur skip="" width=0 i
    local -a typed=() values=() descriptions=()
    # Words as they were typed: bash cuts its own at "=" and ":".
    IFS=$' \t\n' read -a typed <<<"$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    cur=${typed[${#typed[@]} - 1]}
    out=$("${typed[0]}" @COMPLETE@ "${typed[@]:1}" 2>/dev/null) || return
    local -i directive=${out##*:}
    out=${out%:*}
    COMPREPLY=()
    ((directive & 1)) && return
    # The value of --flag=value comes back alone.
    [[ $cur == -*=* ]] && cur=${cur#*=}
    # bash replaces only what stands behind the last ":".
    [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]] && skip=${cur%"${cur##*:}"}
    while IFS=$'\t' read -r word description; do
        [[ -n $word && $word == "$cur"* ]] || continue
        values+=("${word#"$skip"}")
        descriptions+=("$description")
        ((${#word} > width)) && width=${#word}
    done <<<"$out"
    for i in "${!values[@]}"; do
        # Descriptions are shown in a list only, and never put into the line.
        if ((${#values[@]} > 1)) && [[ -n ${descriptions[i]} && ${COMP_TYPE:-9} != 37 && ${COMP_TYPE:-9} != 42 ]]; then
            printf -v word "%-${width}s  (%s)" "${values[i]}" "${descriptions[i]}"
            COMPREPLY+=("${word:0:${COLUMNS:-80}}")
        else
            COMPREPLY+=("$(printf %q "${values[i]}")")
        fi
    done
    ((directive & 2)) && compopt -o nospace 2>/dev/null
    if ((directive & 16)); then
        compopt -o dirnames 2>/dev/null
    elif ((directive & 4)); then
        compopt +o default 2>/dev/null
    fi
    return 0
}

complete -o default -F __limactl_complete limactl
