#!/bin/sh
# Stands in for ssh and for the guest behind it. A session runs its script on this machine, with the guest's markers in the World:
# `guest/path` is its PATH, `guest/hold-ready` keeps the markers away, `guest/failed` names boot scripts that failed, `guest/refuses` refuses the key, `guest/several`
# says that there are several guests at once, each with markers of its own.
w=$LIMA_TEST_WORLD
echo $$ >>"$w/pids"
for word; do printf '%s\n' "$word"; done >>"$w/ssh.argv"
echo >>"$w/ssh.argv"

order='' remote='' master='' control='' previous='' behind='' port=''
for word; do
	if [ -n "$behind" ] && [ "$behind$word" != first-- ]; then remote="${remote:+$remote }$word"; fi
	[ -z "$behind" ] || behind=yes
	case "$previous" in
	-O) order=$word ;;
	-p) port=$word ;;
	esac
	case "$word" in
	-V)
		: >"$w/reached-ssh-version"
		while [ -e "$w/hold-ssh-version" ]; do sleep 0.02; done
		echo 'OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17 1 Jul 2025' >&2
		exit 0
		;;
	-N) master=yes ;;
	ControlPath=*) [ -n "$control" ] || control=$(printf %s "${word#ControlPath=}" | tr -d '"') ;;
	127.0.0.1) [ -n "$behind" ] || behind=first ;;
	esac
	previous=$word
done

vm_lives() { kill -0 "$(cat "$w/port-$port" 2>/dev/null)" 2>/dev/null; }

if [ -n "$order" ]; then
	[ -e "$control" ] || {
		echo "Control socket connect($control): No such file or directory" >&2
		exit 255
	}
	[ "$order" = exit ] && rm -f "$control" && echo 'Exit request sent.' >&2
	exit 0
fi
if ! vm_lives; then
	echo "ssh: connect to host 127.0.0.1 port $port: Connection refused" >&2
	exit 255
fi
if [ -e "$w/guest/refuses" ]; then
	echo "lima@127.0.0.1: Permission denied (publickey)." >&2
	exit 255
fi
if [ -n "$master" ]; then
	: >"$control"
	while [ -e "$control" ] && vm_lives; do sleep 0.05; done
	exit 0
fi
if [ "$remote" != /bin/sh ]; then
	cd "$w/guest" || exit 255
	# Programs that the guest has, where they are not the host's.
	[ -e "$w/guest/path" ] && PATH=$(cat "$w/guest/path")
	HOME=$w/guest exec /bin/sh -c "$remote"
fi

script=$(cat)
id=$(printf '%s\n' "$script" | sed -n 's/.*= \(iid-[0-9]*\).*/\1/p' | head -n 1)
run=$w/guest/run
if [ -e "$w/guest/several" ]; then
	run=$run/of-$port
	mkdir -p "$run"
fi
if [ -n "$id" ]; then
	: >"$w/reached-session"
	[ -e "$w/guest/hold-ready" ] || echo "$id" >"$run/lima-ssh-ready"
	[ -e "$w/guest/hold-done" ] || echo "$id" >"$run/lima-boot-done"
	rm -f "$run/lima-boot-failed"
	[ -e "$w/guest/failed" ] && {
		echo "$id"
		cat "$w/guest/failed"
	} >"$run/lima-boot-failed"
fi
script=$(printf '%s\n' "$script" | sed "s#/run/lima-#$run/lima-#g")
# What runs in the guest ends with its connection, which is this very process, or with the VM.
(
	while kill -0 $$ 2>/dev/null && vm_lives; do sleep 0.05; done
	kill $$
) >/dev/null 2>&1 </dev/null &
exec /bin/sh -c "$script"
