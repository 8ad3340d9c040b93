# shellcheck shell=sh
# Early command of every boot, before the volume is mounted. `lima_iid` and `lima_say` stand above it.

# shellcheck disable=SC2154 # set above
lima_say "LIMA-BOOT $lima_iid cloud-init"

# lima_early_failed WHAT CODE: remembers a failed early command for boot.sh, which reports it.
lima_early_failed() {
    printf '%s %s\n' "$1" "$2" >>/run/lima-early-failed
}

# /run is empty after a boot, but not when cloud-init is run again by hand.
if [ -e /run/lima-early-failed ]; then rm -f /run/lima-early-failed; fi
