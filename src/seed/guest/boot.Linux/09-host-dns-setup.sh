#!/bin/sh
# Sends the guest's DNS questions, its containers' included, to the resolver on the host: what goes to port 53 of the network's DNS
# address is redirected to the ports that the host's resolver has in this start. By iptables if it works, else by nft; where neither
# is there, not at all: the network then answers by itself, without the host's static names. May run again; replaces what an earlier run
# left, and what an earlier start left in a guest that saves its rules.

udp=$LIMA_CIDATA_UDP_DNS_LOCAL_PORT
tcp=$LIMA_CIDATA_TCP_DNS_LOCAL_PORT
server=$LIMA_CIDATA_SLIRP_DNS
host=$LIMA_CIDATA_SLIRP_GATEWAY

newline='
'

# by_iptables: one transaction. Declaring the chain makes or empties it; the jumps to it go in front of everybody else's rules, also of
# those that came in front of them since.
by_iptables() {
    present=$(iptables -t nat -S) || return
    rules="*nat$newline:LIMADNS - [0:0]$newline"
    while IFS= read -r line; do
        case $line in
        '-A PREROUTING -j LIMADNS' | '-A OUTPUT -j LIMADNS') rules="$rules-D ${line#-A }$newline" ;;
        esac
    done <<PRESENT
$present
PRESENT
    rules="$rules-I PREROUTING 1 -j LIMADNS$newline-I OUTPUT 1 -j LIMADNS$newline"
    for redirect in "udp $udp" "tcp $tcp"; do
        port=${redirect#* }
        [ "$port" != 0 ] || continue
        match="-d $server -p ${redirect% *} --dport 53"
        rules="$rules-A LIMADNS $match -j DNAT --to-destination $host:$port$newline"
    done
    iptables-restore -w 5 --noflush <<RULES || return
${rules}COMMIT
RULES
    # It would come first, with the ports of the start that it is from.
    forget_nft
}

# by_nft: one transaction on a table of its own, hooked in just before the usual place: of several translations the first counts.
by_nft() {
    redirect=
    [ "$udp" = 0 ] || redirect="ip daddr $server udp dport 53 dnat to $host:$udp$newline"
    [ "$tcp" = 0 ] || redirect="${redirect}ip daddr $server tcp dport 53 dnat to $host:$tcp$newline"
    nft -f - <<RULES
table ip lima-dns
delete table ip lima-dns
table ip lima-dns {
    chain prerouting {
        type nat hook prerouting priority -110; policy accept;
        $redirect
    }
    chain output {
        type nat hook output priority -110; policy accept;
        $redirect
    }
}
RULES
}

forget_nft() {
    if command -v nft >/dev/null; then
        nft delete table ip lima-dns 2>/dev/null || true
    fi
}

if [ "$udp" = 0 ] && [ "$tcp" = 0 ]; then
    if command -v iptables >/dev/null; then
        iptables -t nat -F LIMADNS 2>/dev/null || true
    fi
    forget_nft
    exit 0
fi

code=0
if command -v iptables-restore >/dev/null; then
    if by_iptables; then exit 0; else code=$?; fi
fi
if command -v nft >/dev/null; then
    if by_nft; then exit 0; else code=$?; fi
fi
exit "$code"
