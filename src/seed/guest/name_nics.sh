# shellcheck shell=sh
# Gives the network interfaces their configured names where cloud-init could not, because a link was already up.
# Starts no process when every name is there.

lima_renamed=

# lima_name_nic NAME MAC: nothing to do, or nothing that can be done, is success.
lima_name_nic() {
    [ ! -e "/sys/class/net/$1" ] || return 0
    for lima_nic in /sys/class/net/*; do
        lima_mac=
        { read -r lima_mac <"$lima_nic/address"; } 2>/dev/null || continue
        [ "$lima_mac" = "$2" ] || continue
        lima_nic=${lima_nic##*/}
        for lima_try in 1 2 3; do
            ip link set dev "$lima_nic" down
            ip link set dev "$lima_nic" name "$1"
            if ip link set dev "$1" up; then
                lima_renamed=$lima_try
                return 0
            fi
            sleep 1
        done
    done 2>/dev/null
}

# lima_await_address NAME: after a change, up to 30 s until the interface has an IPv4 address.
lima_await_address() {
    [ -n "$lima_renamed" ] || return 0
    lima_try=0
    while [ "$lima_try" -lt 30 ]; do
        case $(ip -4 addr show dev "$1" 2>/dev/null) in
        *inet*) return 0 ;;
        esac
        sleep 1
        lima_try=$((lima_try + 1))
    done
}

