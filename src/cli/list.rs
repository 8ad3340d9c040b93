//! `limactl list`: what instances there are and how they are.

use clap::Args;

use super::context::App;
use super::{Outcome, list_json, list_table, print};
use crate::instance::{self, Context, Instance, Problem};
use crate::process::words;

/// List instances of Lima
#[derive(Debug, Args)]
#[command(override_usage = "limactl list [flags] [INSTANCE]...")]
pub struct ListArgs {
    #[arg(value_name = "INSTANCE")]
    pub names: Vec<String>,
    /// table or json
    #[arg(long, short)]
    pub format: Option<String>,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// Show names only
    #[arg(long, short)]
    pub quiet: bool,
    /// Show every column, however narrow the terminal is
    #[arg(long)]
    pub all_fields: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
}

pub fn run(args: ListArgs, app: &App) -> Outcome {
    let format = format(&args)?;
    let context = app.context()?;
    let all = context.home.instance_names()?;
    warn_of_strange_directory(&context, &all);
    if all.is_empty() && args.names.is_empty() {
        tracing::warn!("No instance found. Run `limactl create` to create an instance.");
        return Ok(());
    }
    let (names, mut unmatched) = select(&all, &args.names);
    if args.quiet {
        print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    } else {
        let instances = inspect_all(&context, &names);
        unmatched |= !args.names.is_empty() && instances.len() < names.len();
        print(&render(&instances, format, args.all_fields, &context))?;
    }
    if unmatched {
        anyhow::bail!("unmatched instances");
    }
    Ok(())
}

fn format(args: &ListArgs) -> Result<Format, anyhow::Error> {
    let format = match args.format.as_deref() {
        Some(_) if args.json => anyhow::bail!("option --json conflicts with option --format"),
        None if args.json => Format::Json,
        None | Some("table") => Format::Table,
        Some("json") => Format::Json,
        Some("yaml") => anyhow::bail!("`--format yaml` of `limactl list` is not in this version yet"),
        Some(template) => {
            anyhow::bail!(
                "the template in `--format {template}` of `limactl list` is not in this version yet"
            )
        }
    };
    if args.quiet && format != Format::Table {
        anyhow::bail!("option --quiet can only be used with '--format table'");
    }
    Ok(format)
}

/// A directory without `lima.yaml` among the instances may mean that `LIMA_HOME` points to the wrong place.
fn warn_of_strange_directory(context: &Context, names: &[String]) {
    let files = names.iter().map(|name| context.home.instance(name).lima_yaml());
    if let Some((file, error)) =
        files.filter_map(|file| file.metadata().err().map(|error| (file, error))).next()
    {
        tracing::warn!(
            "The directory `{}` does not look like a valid Lima directory: stat {}: {}",
            context.home.root().display(),
            file.display(),
            words::system_words(&error)
        );
    }
}

/// The wanted names in the wanted order, or all; and whether a wanted one does not exist.
fn select(all: &[String], wanted: &[String]) -> (Vec<String>, bool) {
    if wanted.is_empty() {
        return (all.to_vec(), false);
    }
    let (found, missing): (Vec<String>, Vec<String>) =
        wanted.iter().cloned().partition(|name| all.contains(name));
    for name in &missing {
        tracing::warn!("No instance matching {name} found.");
    }
    (found, !missing.is_empty())
}

/// Looks at every instance; one that vanishes meanwhile is left out.
fn inspect_all(context: &Context, names: &[String]) -> Vec<Instance> {
    let inspected = names.iter().filter_map(|name| inspect(context, name));
    inspected
        .inspect(|instance| {
            if !instance.problems.is_empty() {
                let errors: Vec<String> = instance.problems.iter().map(ToString::to_string).collect();
                let errors = format!("[{}]", errors.join(" "));
                tracing::warn!(errors, "instance `{}` has errors", instance.name);
            }
        })
        .collect()
}

fn inspect(context: &Context, name: &str) -> Option<Instance> {
    let dir = context.home.instance(name);
    let absent = match dir.lima_yaml().metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => error,
        _ => match instance::inspect(context, name) {
            Ok(instance) => return Some(instance),
            Err(error) => {
                let text = words::chain(&error);
                return Some(instance::broken_row(context, name, Problem::Text(text)));
            }
        },
    };
    if !dir.path().exists() {
        tracing::warn!("instance `{name}` vanished while it was being listed");
        return None;
    }
    let problem = Problem::Open {
        path: dir.lima_yaml(),
        errno: absent.raw_os_error().unwrap_or_default(),
        text: words::system_words(&absent),
    };
    Some(instance::broken_row(context, name, problem))
}

fn render(instances: &[Instance], format: Format, all_fields: bool, context: &Context) -> String {
    match format {
        Format::Json => {
            let colored = App::output_is_terminal(context);
            let lines = instances.iter().map(|instance| list_json::line(instance, context, colored));
            lines.collect()
        }
        Format::Table => {
            let width = if all_fields { None } else { crate::sys::terminal::columns(std::io::stdout()) };
            let home = context.host.home.as_deref().and_then(std::path::Path::to_str);
            list_table::table(instances, width, context.host.arch, home)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ListArgs {
        ListArgs { names: Vec::new(), format: None, json: false, quiet: false, all_fields: false }
    }

    #[test]
    fn formats_that_exclude_each_other_are_refused() {
        let with = |format: Option<&str>, json, quiet| {
            format_of(ListArgs { format: format.map(str::to_owned), json, quiet, ..args() })
        };
        fn format_of(args: ListArgs) -> Result<Format, String> {
            format(&args).map_err(|error| error.to_string())
        }
        assert_eq!(with(None, false, true), Ok(Format::Table));
        assert_eq!(with(Some("json"), false, false), Ok(Format::Json));
        assert_eq!(
            with(Some("table"), true, false).unwrap_err(),
            "option --json conflicts with option --format"
        );
        assert_eq!(
            with(None, true, true).unwrap_err(),
            "option --quiet can only be used with '--format table'"
        );
        assert!(with(Some("yaml"), false, false).unwrap_err().contains("`--format yaml`"));
        assert!(with(Some("{{.Name}}"), false, false).is_err());
    }

    #[test]
    fn wanted_names_keep_their_order() {
        let all = ["a", "b", "c"].map(str::to_owned);
        let wanted = ["c", "x", "a", "c"].map(str::to_owned);
        assert_eq!(select(&all, &wanted), (["c", "a", "c"].map(str::to_owned).to_vec(), true));
        assert_eq!(select(&all, &[]), (all.to_vec(), false));
    }
}
