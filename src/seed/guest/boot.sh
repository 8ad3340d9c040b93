#!/bin/sh
# Runs what the seed volume brings, in order, at every boot: boot scripts, then provisions.
#
# A step that fails is recorded in /run/lima-boot-failed (instance id, then "<what> <exit code>" lines) and ends nothing else;
# /run/lima-boot-done gets the instance id when everything has run, well or not. Steps may run again within one boot.
# Under emulation every process costs milliseconds, so builtins do the work where they can.

set -u

LIMA_REBOOT_REQUIRED=/run/lima-reboot-required
export LIMA_REBOOT_REQUIRED
LIMA_BOOT_FAILED=/run/lima-boot-failed

main() {
    clear_markers
    read_environment
    if [ "$LIMA_CIDATA_DEBUG" = true ]; then set -x; fi
    stage started
    report_early_failures
    stage essential
    run_scripts boot.essential.Linux
    stop_for_reboot
    if [ -z "$LIMA_CIDATA_PLAIN" ]; then
        stage scripts
        run_scripts boot.Linux
        stop_for_reboot
    fi
    stage provision
    run_data
    run_edits
    run_system
    run_user
    set_password
    stop_for_reboot
    printf '%s\n' "$LIMA_CIDATA_IID" >/run/lima-boot-done
    stage 'done'
    # For cloud-init's own status.
    [ ! -e "$LIMA_BOOT_FAILED" ]
}

# --- saying and recording ---

# log TEXT: a line for cloud-init's output log, with the seconds since the kernel started.
log() {
    read -r lima_uptime _ </proc/uptime
    printf 'LIMA %ss| %s\n' "$lima_uptime" "$*"
}

stage() {
    log "stage: $*"
    lima_say "LIMA-BOOT $LIMA_CIDATA_IID $*"
}

# failed WHAT CODE: by a file, because steps run in subshells.
failed() {
    log "WARNING: $1 failed with exit code $2"
    lima_say "LIMA-BOOT $LIMA_CIDATA_IID failed $1"
    [ -e "$LIMA_BOOT_FAILED" ] || printf '%s\n' "$LIMA_CIDATA_IID" >"$LIMA_BOOT_FAILED"
    printf '%s %s\n' "$1" "$2" >>"$LIMA_BOOT_FAILED"
}

clear_markers() {
    for lima_marker in /run/lima-boot-done "$LIMA_BOOT_FAILED" "$LIMA_REBOOT_REQUIRED"; do
        if [ -e "$lima_marker" ]; then rm -f "$lima_marker"; fi
    done
}

report_early_failures() {
    [ -e /run/lima-early-failed ] || return 0
    while read -r lima_what lima_code; do
        failed "$lima_what" "$lima_code"
    done </run/lima-early-failed
}

# The step that asked for the reboot has started it; what is left runs after it.
stop_for_reboot() {
    [ -e "$LIMA_REBOOT_REQUIRED" ] || return 0
    log "the guest reboots, nothing more runs before it has"
    exit 0
}

# --- environment ---

read_environment() {
    # shellcheck source=console.sh
    . "$LIMA_CIDATA_MNT/util/console.sh"
    lima_params=
    while IFS= read -r lima_line; do
        export_line "$lima_line"
    done <"$LIMA_CIDATA_MNT/lima.env"
    while IFS= read -r lima_line; do
        export_line "$lima_line"
        lima_params=$lima_params,${lima_line%%=*}
    done <"$LIMA_CIDATA_MNT/param.env"
    while IFS= read -r lima_line; do
        export_pam_line "$lima_line"
    done <"$LIMA_CIDATA_MNT/etc_environment"
    # What cloud-init's services find on PATH differs between distributions.
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
}

# export_line NAME=VALUE: the value is taken as it is; a name that no shell takes is passed over.
export_line() {
    case ${1%%=*} in
    '' | [0-9]* | *[!A-Za-z0-9_]*) return 0 ;;
    esac
    case $1 in
    *=*) export "${1%%=*}=${1#*=}" ;;
    esac
}

# The reading of /etc/environment that pam_env has: blanks around it, `export `, comments, one pair of quotes. The instance's own variables
# and what the shells here depend on stay as they are.
export_pam_line() {
    set -- "${1#"${1%%[! 	]*}"}"
    set -- "${1#export }"
    set -- "${1%%#*}"
    set -- "${1%"${1##*[! 	]}"}"
    case $1 in
    LIMA_* | lima_* | IFS=*) return 0 ;;
    *=*) set -- "${1%%=*}" "${1#*=}" ;;
    *) return 0 ;;
    esac
    case $2 in
    \"*\") set -- "$1" "${2#\"}" \" ;;
    \'*\') set -- "$1" "${2#\'}" \' ;;
    *) set -- "$1" "$2" '' ;;
    esac
    export_line "$1=${2%"$3"}"
}

# --- boot scripts ---

# run_scripts FOLDER: each in a subshell of this shell, which spares the start of another.
run_scripts() {
    for lima_script in "$LIMA_CIDATA_MNT/$1"/*.sh; do
        [ -e "$lima_script" ] || continue
        log "run $1/${lima_script##*/}"
        # shellcheck source=/dev/null
        (set -eu; . "$lima_script")
        lima_code=$?
        if [ "$lima_code" -ne 0 ]; then failed "$1/${lima_script##*/}" "$lima_code"; fi
        if [ -e "$LIMA_REBOOT_REQUIRED" ]; then return; fi
    done
}

# --- provisions ---

run_data() {
    for lima_file in "$LIMA_CIDATA_MNT"/provision.data/*; do
        [ -e "$lima_file" ] || continue
        lima_number=${lima_file##*/}
        log "run provision.data/$lima_number"
        # The names hold nothing but digits; their values are not evaluated.
        eval "lima_overwrite=\$LIMA_CIDATA_DATAFILE_${lima_number}_OVERWRITE lima_owner=\$LIMA_CIDATA_DATAFILE_${lima_number}_OWNER"
        eval "lima_path=\$LIMA_CIDATA_DATAFILE_${lima_number}_PATH lima_permissions=\$LIMA_CIDATA_DATAFILE_${lima_number}_PERMISSIONS"
        # shellcheck disable=SC2154 # set by eval
        write_data "$lima_file" "$lima_path" "$lima_overwrite" "$lima_owner" "$lima_permissions" || failed "provision.data/$lima_number" $?
    done
}

# write_data FILE PATH OVERWRITE OWNER PERMISSIONS
write_data() {
    if [ -e "$2" ] && [ "$3" = false ]; then
        log "$2 exists and is kept"
        return 0
    fi
    if [ -d "$2" ]; then
        log "$2 is a directory"
        return 1
    fi
    make_parent "${2%/*}" "${4%%:*}" || return
    # Nobody reads the new content before owner and mode are right.
    (umask 077 && cp -- "$1" "$2") && chown -- "$4" "$2" && chmod -- "$5" "$2"
}

# make_parent FOLDER OWNER: as the owner, or as root where he may not.
make_parent() {
    if [ -z "$1" ] || [ -d "$1" ]; then return 0; fi
    if [ "$2" != root ] && sudo -n -u "$2" mkdir -p -- "$1" 2>/dev/null; then return 0; fi
    mkdir -p -- "$1"
}

# Files that the host edits: once in each start by the host, which does not know of a reboot in between. Their text goes to it and comes
# back through files of the user, as whom it enters. Whatever is in the folder is read and written as him, so that he gains nothing by it.
run_edits() {
    [ -d "$LIMA_CIDATA_MNT/provision.yq" ] || return 0
    if [ -e /var/lib/lima-yq-done ] && read -r lima_line </var/lib/lima-yq-done && [ "$lima_line" = "$LIMA_CIDATA_IID" ]; then
        log "provision.yq: the host has edited these files before this reboot"
        return 0
    fi
    rm -rf /run/lima-yq
    mkdir -m 700 /run/lima-yq && chown "$LIMA_CIDATA_USER" /run/lima-yq
    for lima_file in "$LIMA_CIDATA_MNT"/provision.yq/*; do
        [ -e "$lima_file" ] || continue
        lima_number=${lima_file##*/}
        log "run provision.yq/$lima_number"
        eval "lima_owner=\$LIMA_CIDATA_YQ_PROVISION_${lima_number}_OWNER lima_path=\$LIMA_CIDATA_YQ_PROVISION_${lima_number}_PATH"
        eval "lima_permissions=\$LIMA_CIDATA_YQ_PROVISION_${lima_number}_PERMISSIONS"
        edit_file "/run/lima-yq/$lima_number" "$lima_path" "$lima_owner" "$lima_permissions" || {
            lima_code=$?
            # The host may be waiting for this file, and would wait while we wait for it at the next one.
            as_user touch "/run/lima-yq/$lima_number.over"
            failed "provision.yq/$lima_number" "$lima_code"
        }
    done
    rm -rf /run/lima-yq
    printf '%s\n' "$LIMA_CIDATA_IID" >/var/lib/lima-yq-done
}

# as_user COMMAND…
as_user() {
    sudo -n -u "$LIMA_CIDATA_USER" "$@"
}

# edit_file EXCHANGE PATH OWNER PERMISSIONS
edit_file() {
    if [ -d "$2" ]; then
        log "$2 is a directory"
        return 1
    fi
    if [ -e "$2" ]; then
        if ! sudo -n -u "${3%%:*}" test -w "$2"; then
            log "$2 may not be written by ${3%%:*}"
            return 1
        fi
        # shellcheck disable=SC2016 # for the shell that is started
        as_user sh -c 'umask 077 && cat >"$0.new" && mv "$0.new" "$0.in"' "$1" <"$2" || return
    else
        as_user touch "$1.none" || return
    fi
    await_host "$1" || return
    make_parent "${2%/*}" "${3%%:*}" || return
    # A new file is nobody else's before owner and mode are right; an old one stays the same file.
    if [ ! -e "$2" ]; then (umask 077 && : >"$2") || return; fi
    as_user cat "$1.out" >"$2" && chown -- "$3" "$2" && chmod -- "$4" "$2"
}

# await_host EXCHANGE: until the host has answered, five minutes at most.
await_host() {
    read -r lima_uptime _ </proc/uptime
    lima_deadline=$((${lima_uptime%.*} + 300))
    while [ ! -e "$1.out" ]; do
        if [ -e "$1.err" ]; then
            log "the host cannot edit the file: $(as_user cat "$1.err")"
            return 1
        fi
        read -r lima_uptime _ </proc/uptime
        if [ "${lima_uptime%.*}" -ge "$lima_deadline" ]; then
            log "the host has not answered"
            return 1
        fi
        sleep 0.2 2>/dev/null || sleep 1
    done
}

run_system() {
    for lima_script in "$LIMA_CIDATA_MNT"/provision.system/*; do
        [ -e "$lima_script" ] || continue
        log "run provision.system/${lima_script##*/}"
        "$lima_script" || failed "provision.system/${lima_script##*/}" $?
    done
}

run_user() {
    lima_waited=
    for lima_script in "$LIMA_CIDATA_MNT"/provision.user/*; do
        [ -e "$lima_script" ] || continue
        if [ -z "$lima_waited" ]; then
            await_user_session
            lima_waited=1
        fi
        log "run provision.user/${lima_script##*/}"
        run_as_user "$lima_script" || failed "provision.user/${lima_script##*/}" $?
    done
}

# run_as_user SCRIPT: a copy, because the volume is root's alone, in a login shell with the parameters.
run_as_user() {
    lima_copy=$LIMA_CIDATA_HOME/.lima-user-script
    rm -f -- "$lima_copy"
    cp -- "$1" "$lima_copy" && chmod 755 "$lima_copy" || return
    sudo -n -i -u "$LIMA_CIDATA_USER" ${lima_params:+"--preserve-env=${lima_params#,}"} \
        "XDG_RUNTIME_DIR=/run/user/$LIMA_CIDATA_UID" "$lima_copy"
    set -- $?
    rm -f -- "$lima_copy"
    return "$1"
}

# User scripts may talk to the user's service manager. It is asked for, and waited for at most a minute.
await_user_session() {
    [ -d /run/systemd/system ] || return 0
    lima_manager=/run/user/$LIMA_CIDATA_UID/systemd/private
    [ -e "$lima_manager" ] || timeout 60 systemctl start "user@$LIMA_CIDATA_UID.service"
    read -r lima_uptime _ </proc/uptime
    lima_deadline=$((${lima_uptime%.*} + 60))
    while [ ! -e "$lima_manager" ]; do
        read -r lima_uptime _ </proc/uptime
        if [ "${lima_uptime%.*}" -ge "$lima_deadline" ]; then
            log "WARNING: no service manager for user $LIMA_CIDATA_USER after 60 s, going on without"
            return 0
        fi
        sleep 0.2 2>/dev/null || sleep 1
    done
}

# Where sudo asks for a password there must be one: made once, left for the user in his home.
set_password() {
    [ -z "$LIMA_CIDATA_PASSWORDLESS_SUDO" ] || return 0
    [ ! -e "$LIMA_CIDATA_HOME/.lima-password-set" ] || return 0
    make_password || failed set-password $?
}

make_password() {
    lima_password=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n') || return
    printf '%s:%s\n' "$LIMA_CIDATA_USER" "$lima_password" | chpasswd || return
    (umask 077 && printf '%s\n' "$lima_password" >"$LIMA_CIDATA_HOME/password") || return
    : >"$LIMA_CIDATA_HOME/.lima-password-set" || return
    chown "$LIMA_CIDATA_USER:" "$LIMA_CIDATA_HOME/password" "$LIMA_CIDATA_HOME/.lima-password-set"
}

main
