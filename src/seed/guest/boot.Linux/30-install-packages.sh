#!/bin/sh
# Packages: the instance's own `dependency` provisions first, then what the configuration needs and the guest lacks. That is one thing: a
# program for the DNS redirect. Without network this fails in bounded time and the boot goes on.

can_redirect() {
    command -v iptables-restore >/dev/null || command -v nft >/dev/null
}

# Asked by its own name first: openSUSE has an `apt-get` that is only a wrapper.
install_iptables() {
    if command -v zypper >/dev/null; then
        timeout 180 zypper --non-interactive install -y --no-recommends iptables
    elif command -v apt-get >/dev/null; then
        install_by_apt
    elif command -v dnf >/dev/null; then
        timeout 180 dnf install -y iptables-nft
    elif command -v yum >/dev/null; then
        timeout 180 yum install -y iptables
    elif command -v apk >/dev/null; then
        timeout 180 apk add --no-progress iptables
    elif command -v pacman >/dev/null; then
        timeout 180 pacman -Sy --noconfirm iptables
    else
        printf 'no package manager that is known here\n'
        return 1
    fi
}

install_by_apt() {
    # An unreachable archive is given up quickly; another run of apt is waited for.
    set -- -o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o Acquire::https::Timeout=10 -o DPkg::Lock::Timeout=60
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    timeout 120 apt-get "$@" update && timeout 180 apt-get "$@" install -y --no-install-recommends iptables
}

redirected=
if can_redirect; then redirected=1; fi

for script in "$LIMA_CIDATA_MNT"/provision.dependency/*; do
    [ -e "$script" ] || continue
    log "run provision.dependency/${script##*/}"
    if "$script"; then
        continue
    else
        # Recorded by its own name. What would follow may build on it.
        failed "provision.dependency/${script##*/}" $?
        exit 0
    fi
done

if [ "$LIMA_CIDATA_UDP_DNS_LOCAL_PORT" = 0 ] && [ "$LIMA_CIDATA_TCP_DNS_LOCAL_PORT" = 0 ]; then exit 0; fi
if [ -n "$redirected" ]; then exit 0; fi

if ! can_redirect; then
    if [ -n "$LIMA_CIDATA_SKIP_DEFAULT_DEPENDENCY_RESOLUTION" ]; then exit 0; fi
    install_iptables
fi
# shellcheck source=09-host-dns-setup.sh
. "$LIMA_CIDATA_MNT/boot.Linux/09-host-dns-setup.sh"
