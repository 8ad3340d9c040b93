#!/bin/sh
# Alpine: makes room for the instance's user where the image's stock user has the same uid, and lets root use sudo.

[ -f /etc/alpine-release ] || exit 0

# cloud-init makes a sudoers file without root, and sudo's package then keeps it.
if [ -f /etc/sudoers ] && ! grep -q '^root[[:space:]]' /etc/sudoers; then
    printf 'root ALL=(ALL) NOPASSWD:ALL\n' >>/etc/sudoers
fi

if [ "$LIMA_CIDATA_USER" != alpine ] && [ "$(id -u alpine 2>/dev/null)" = "$LIMA_CIDATA_UID" ]; then
    # The instance's user could not be made: once more from the start, without the stock user.
    deluser --remove-home alpine
    cloud-init clean --logs
    printf '%s\n' "$LIMA_CIDATA_IID" >"$LIMA_REBOOT_REQUIRED"
    reboot
fi
