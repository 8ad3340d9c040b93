# PowerShell completion for limactl: limactl itself is asked what may come next.

Register-ArgumentCompleter -Native -CommandName limactl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $typed = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.ToString() })
    $arguments = @($typed | Select-Object -Skip 1)
    if ($wordToComplete -eq '') {
        # Older versions drop an empty argument of a native program unless it is quoted.
        $arguments += $(if ($PSVersionTable.PSVersion -lt [version]'7.3') { '""' } else { '' })
    }
    $out = @(& $typed[0] '@COMPLETE@' @arguments 2>$null)
    if ($out.Count -eq 0) { return }
    $directive = [int]$out[-1].Substring(1)
    if ($directive -band 1) { return }
    $prefix = ''
    # The value of --flag=value comes back alone; PowerShell wants the whole word.
    if ($wordToComplete -match '^(-[^=]*=)') { $prefix = $Matches[1] }
    $out | Select-Object -SkipLast 1 | ForEach-Object {
        $value, $description = $_ -split "`t", 2
        if (-not $description) { $description = $value }
        [System.Management.Automation.CompletionResult]::new("$prefix$value", $value, 'ParameterValue', $description)
    }
}
