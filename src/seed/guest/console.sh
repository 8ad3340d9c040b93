# shellcheck shell=sh
# Tells the host, on the serial console, what stage the boot is in. Never fails, starts no process.

# lima_say TEXT: one line, on the console that the kernel uses if that is a serial one, else on the first serial port that takes it.
lima_say() {
    lima_active=
    { read -r lima_active </sys/class/tty/console/active; } 2>/dev/null || :
    case ${lima_active##* } in
    '' | tty[0-9]*) set -- "$*" /dev/ttyAMA0 /dev/ttyS0 /dev/hvc0 ;;
    *) set -- "$*" /dev/console ;;
    esac
    lima_text=$1
    shift
    for lima_device; do
        # A line of its own, whatever prompt stands there. A port without hardware opens, but refuses the write.
        if [ -c "$lima_device" ] && printf '\n%s\n' "$lima_text" >"$lima_device"; then
            break
        fi
    done 2>/dev/null || :
}
