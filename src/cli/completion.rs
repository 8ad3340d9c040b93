//! `limactl completion`: scripts that teach a shell to complete limactl. They know nothing themselves and call `limactl __complete` (see
//! `complete`), so they never grow old.

use clap::{Args, Subcommand};

use super::{Outcome, print};

const BASH: &str = include_str!("scripts/complete.bash");
const ZSH: &str = include_str!("scripts/complete.zsh");
const FISH: &str = include_str!("scripts/complete.fish");
const POWERSHELL: &str = include_str!("scripts/complete.ps1");

/// Generate the autocompletion script for the specified shell
#[derive(Debug, Args)]
#[command(override_usage = "limactl completion [command]")]
pub struct CompletionArgs {
    #[command(subcommand)]
    pub shell: Option<Shell>,
}

/// The shells.
#[derive(Debug, Subcommand)]
pub enum Shell {
    /// Generate the autocompletion script for bash
    ///
    /// Now: source <(limactl completion bash)
    /// For every session: limactl completion bash > ~/.local/share/bash-completion/completions/limactl
    #[command(override_usage = "limactl completion bash [flags]", verbatim_doc_comment)]
    Bash(ScriptArgs),
    /// Generate the autocompletion script for zsh
    ///
    /// Now: source <(limactl completion zsh)
    /// For every session: limactl completion zsh > "${fpath[1]}/_limactl"
    #[command(override_usage = "limactl completion zsh [flags]", verbatim_doc_comment)]
    Zsh(ScriptArgs),
    /// Generate the autocompletion script for fish
    ///
    /// Now: limactl completion fish | source
    /// For every session: limactl completion fish > ~/.config/fish/completions/limactl.fish
    #[command(override_usage = "limactl completion fish [flags]", verbatim_doc_comment)]
    Fish(ScriptArgs),
    /// Generate the autocompletion script for powershell
    ///
    /// Now: limactl completion powershell | Out-String | Invoke-Expression
    #[command(override_usage = "limactl completion powershell [flags]", verbatim_doc_comment)]
    Powershell(ScriptArgs),
}

#[derive(Debug, Args)]
pub struct ScriptArgs {
    /// Disable completion descriptions
    #[arg(long)]
    pub no_descriptions: bool,
}

pub fn run(args: CompletionArgs) -> Outcome {
    let (script, args) = match args.shell {
        Some(Shell::Bash(args)) => (BASH, args),
        Some(Shell::Zsh(args)) => (ZSH, args),
        Some(Shell::Fish(args)) => (FISH, args),
        Some(Shell::Powershell(args)) => (POWERSHELL, args),
        // `words` shows help in this case.
        None => return Ok(()),
    };
    let command = if args.no_descriptions { "__completeNoDesc" } else { "__complete" };
    print(&script.replace("@COMPLETE@", command))
}
