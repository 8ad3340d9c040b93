# shellcheck shell=sh
# Keeps nameservers that DHCP offers on other interfaces than the first out of use where cloud-init drops `use-dns: false`, because it writes for
# another program than netplan or systemd-networkd. Starts no process where one of those is in charge, or where all is as it should be.

# lima_one_nameserver FIRST OTHER...
lima_one_nameserver() {
    lima_first=$1
    shift
    # Alpine: busybox' udhcpc reads this file at every lease. What else is in it stays.
    if [ -e /etc/alpine-release ] && ! grep -qxF "NO_DNS=\"$*\"" /etc/udhcpc/udhcpc.conf; then
        mkdir -p /etc/udhcpc
        sed -i -e '/^NO_DNS=/d' /etc/udhcpc/udhcpc.conf
        printf 'NO_DNS="%s"\n' "$*" >>/etc/udhcpc/udhcpc.conf
    fi
    # Fedora and its like: among connections with a negative priority the lowest one's servers are the only ones.
    lima_text="[connection-lima]
match-device=interface-name:$lima_first
ipv4.dns-priority=-10"
    lima_file=/etc/NetworkManager/conf.d/90-lima.conf
    if [ -d "${lima_file%/*}" ] && [ "$(cat "$lima_file")" != "$lima_text" ]; then
        printf '%s\n' "$lima_text" >"$lima_file"
    fi
} 2>/dev/null
