#!/bin/sh
# The host's name in /etc/hosts: exactly one line says where `host.lima.internal` is.

set -f
name=host.lima.internal
wanted="$LIMA_CIDATA_SLIRP_GATEWAY	$name"

# names_host LINE: whether the line, without its comment, has the name.
names_host() {
    for word in ${1%%#*}; do
        [ "$word" != "$name" ] || return 0
    done
    return 1
}

kept=
found=
if [ -e /etc/hosts ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        if names_host "$line"; then
            found="$found$line
"
        else
            kept="$kept$line
"
        fi
    done </etc/hosts
fi

if [ "$found" != "$wanted
" ]; then
    # Written in place: the file may be a mount point, and has its own security label.
    printf '%s%s\n' "$kept" "$wanted" >/etc/hosts
fi
