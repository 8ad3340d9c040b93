#!/bin/sh
# Alpine: sudo, logins by key, ssh forwarding and the power button, which other distributions have from the start.

[ -f /etc/alpine-release ] || exit 0

# The two repositories of this release, from wherever the image takes its packages.
add_repositories() {
    read -r release </etc/alpine-release
    case $release in
    *_*) branch=edge ;;
    *) branch=v${release%.*} ;;
    esac
    base=https://dl-cdn.alpinelinux.org/alpine
    present=
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '#'*) ;;
        *"/$branch/main" | *"/$branch/community")
            base=${line%"/$branch/"*}
            present="$present ${line##*/} "
            ;;
        esac
    done </etc/apk/repositories
    for repository in main community; do
        case $present in
        *" $repository "*) ;;
        *) printf '%s/%s/%s\n' "$base" "$branch" "$repository" >>/etc/apk/repositories ;;
        esac
    done
}

# The daemon is not built with PAM, so it refuses keys for an account whose password is locked with `!`.
unlock_account() {
    if grep -q "^$LIMA_CIDATA_USER:!" /etc/shadow; then
        usermod -p '*' "$LIMA_CIDATA_USER"
    fi
}

# sshd_option NAME VALUE: the first setting of a name counts, so ours replaces every other; succeeds if something changed.
sshd_option() {
    ! grep -q "^$1 $2\$" /etc/ssh/sshd_config || return 1
    sed -i -e "/^[#[:space:]]*$1[[:space:]]/d" /etc/ssh/sshd_config
    # In front, because what follows a Match block belongs to it.
    sed -i -e "1i $1 $2" /etc/ssh/sshd_config
}

add_repositories
unlock_account

changed=
if sshd_option AllowTcpForwarding yes; then changed=1; fi
if sshd_option UsePAM yes; then changed=1; fi
if [ -n "$changed" ]; then rc-service --ifstarted sshd reload; fi

if ! rc-service --quiet acpid status; then
    rc-update add acpid default
    rc-service acpid start
fi

# Last, because it is the only step that needs the network.
command -v sudo >/dev/null || timeout 120 apk add --no-progress sudo
