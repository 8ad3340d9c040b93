# fish completion for limactl: limactl itself is asked what may come next.

function __limactl_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l out ($before[1] @COMPLETE@ $before[2..-1] "$current" 2>/dev/null)
    or return
    set -l directive (string replace -- : '' $out[-1])
    test (math "bitand($directive, 1)") -eq 0
    or return
    # The value of --flag=value comes back alone; fish wants the whole word.
    set -l prefix (string match -r -- '^-[^=]*=' "$current")
    set -l count (count $out)
    if test $count -gt 1
        for line in $out[1..(math $count - 1)]
            printf '%s%s\n' "$prefix" $line
        end
    else if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories (string replace -- "$prefix" '' "$current")
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (string replace -- "$prefix" '' "$current")
    end
end

complete -c limactl -e
complete -c limactl -f -a '(__limactl_complete)'
