#!/bin/sh
# What an ordinary user of the instance may expect to do: own his home, ping, listen on low ports, find administrators' programs, and
# have services that outlive his logins.

home=$LIMA_CIDATA_HOME

# A mount below the home made the directory before the user was there.
# shellcheck disable=SC3067 # dash and ash have -O, and a process less counts here
if [ -O "$home" ]; then
    chown "$LIMA_CIDATA_USER:" "$home"
fi

# Kernel settings: for the next boots by the file, for this one directly. One that a kernel lacks does not make the others useless.
set_kernel() {
    { printf '%s\n' "$2" >"/proc/sys/$1"; } 2>/dev/null || printf 'cannot set %s\n' "$1"
}

[ -d /etc/sysctl.d ] || mkdir -p /etc/sysctl.d
{
    printf 'net.ipv4.ping_group_range = 0 2147483647\nnet.ipv4.ip_unprivileged_port_start = 0\n'
    if [ -e /proc/sys/kernel/unprivileged_userns_clone ]; then
        printf 'kernel.unprivileged_userns_clone = 1\n'
    fi
} >/etc/sysctl.d/99-lima.conf
set_kernel net/ipv4/ping_group_range '0 2147483647'
set_kernel net/ipv4/ip_unprivileged_port_start 0
if [ -e /proc/sys/kernel/unprivileged_userns_clone ]; then
    set_kernel kernel/unprivileged_userns_clone 1
fi

# The directories of administrators' programs, at the end of PATH, in the files that the usual shells read.
marked=$(cd "$home" && grep -l '^# Lima BEGIN' .profile .bashrc .zshrc 2>/dev/null) || true
made=
for file in .profile .bashrc .zshrc; do
    case $marked in
    *"$file"*) continue ;;
    esac
    if ! [ -e "$home/$file" ]; then made=1; fi
    # shellcheck disable=SC2016 # for the user's shell to expand
    printf '# Lima BEGIN\nPATH="$PATH:/usr/sbin:/sbin"\nexport PATH\n# Lima END\n' >>"$home/$file"
done
if [ -n "$made" ]; then
    (cd "$home" && chown "$LIMA_CIDATA_USER:" .profile .bashrc .zshrc)
fi

# Without logind there is nothing that could linger.
if command -v loginctl >/dev/null &&
    ! { [ -d "/run/user/$LIMA_CIDATA_UID" ] && [ -e "/var/lib/systemd/linger/$LIMA_CIDATA_USER" ]; }; then
    timeout 30 loginctl enable-linger "$LIMA_CIDATA_USER" || printf 'no lingering services for %s\n' "$LIMA_CIDATA_USER"
fi
