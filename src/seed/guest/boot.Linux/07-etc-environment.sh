#!/bin/sh
# The instance's environment in /etc/environment, for every login; then tells the host that logins have it.

kept=
old=
inside=
if [ -e /etc/environment ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $inside$line in
        '#LIMA-START') inside=yes ;;
        'yes#LIMA-END') inside= ;;
        yes*) old="$old$line
" ;;
        *) kept="$kept$line
" ;;
        esac
    done </etc/environment
fi

block=
new=
while IFS= read -r line; do
    block="$block$line
"
    case $line in
    '#LIMA-START' | '#LIMA-END') ;;
    *) new="$new$line
" ;;
    esac
done <"$LIMA_CIDATA_MNT/etc_environment"

if [ "$old" != "$new" ] || ! [ -e /etc/environment ]; then
    printf '%s%s' "$kept" "$block" >/etc/environment
    # Who is logged in has the old environment: the host's own connections come back by themselves.
    if [ -d "/run/user/$LIMA_CIDATA_UID" ] && command -v loginctl >/dev/null; then
        timeout 10 loginctl terminate-user "$LIMA_CIDATA_USER" || true
    fi
fi

printf '%s\n' "$LIMA_CIDATA_IID" >/run/lima-ssh-ready
