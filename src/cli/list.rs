//! `limactl list`: what instances there are and how they are.

use clap::Args;

use super::context::App;
use super::expressions::{self, Expressions, Output};
use super::list_template::Format;
use super::paint::Paint;
use super::{Outcome, list_record, list_table, print};
use crate::instance::{self, Context, Instance, Problem};
use crate::process::words;

/// Instances are looked at by as many threads as this at most, each of which has a few.
const LANES: usize = 32;
const PER_LANE: usize = 2;

/// List instances of Lima
#[derive(Debug, Args)]
#[command(override_usage = "limactl list [flags] [INSTANCE]...")]
pub struct ListArgs {
    #[arg(value_name = "INSTANCE")]
    pub names: Vec<String>,
    /// table, json, yaml, or a Go template such as '{{.Name}} {{.Dir}}'
    #[arg(long, short)]
    pub format: Option<String>,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
    /// List the fields that a template can have
    #[arg(long)]
    pub list_fields: bool,
    /// Show names only
    #[arg(long, short)]
    pub quiet: bool,
    /// Show every column, however narrow the terminal is
    #[arg(long)]
    pub all_fields: bool,
    /// Process each instance with a yq expression; several are chained
    #[arg(long, value_name = "EXPRESSION")]
    pub yq: Vec<String>,
    /// Show only instances for which the yq expression is true; with several, all must be
    #[arg(long, short = 'l', value_name = "EXPRESSION")]
    pub filter: Vec<String>,
}

/// What is printed of each instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown<'a> {
    Names,
    Table,
    Data(Output),
    Template(&'a str),
}

pub fn run(args: ListArgs, app: &App) -> Outcome {
    let shown = shown(&args)?;
    if args.list_fields {
        return print(&list_record::field_names().iter().map(|name| format!("{name}\n")).collect::<String>());
    }
    let selection = Selection::parse(&args)?;
    let context = app.context()?;
    let all = context.home.instance_names()?;
    warn_of_strange_directory(&context, &all);
    if all.is_empty() && args.names.is_empty() {
        tracing::warn!("No instance found. Run `limactl create` to create an instance.");
        return Ok(());
    }
    let (names, mut unmatched) = select(&all, &args.names);
    if shown == Shown::Names && selection.is_everything() {
        print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    } else {
        let mut instances = inspect_all(&context, &names);
        unmatched |= !args.names.is_empty() && instances.len() < names.len();
        selection.keep(&mut instances, &context)?;
        print(&render(&instances, shown, &selection, &args, &context)?)?;
    }
    if unmatched {
        anyhow::bail!("unmatched instances");
    }
    Ok(())
}

/// What the flags ask for; the order of the checks is upstream's.
fn shown(args: &ListArgs) -> Result<Shown<'_>, anyhow::Error> {
    let format = args.format.as_deref();
    let is_data = matches!(format, None | Some("json" | "yaml"));
    let conflict = match () {
        () if args.json && format.is_some() => "option --json conflicts with option --format",
        () if args.list_fields && format.is_some() => "option --list-fields conflicts with option --format",
        () if !args.yq.is_empty() && !is_data => "option --yq only works with --format json or yaml",
        () if args.list_fields && !args.yq.is_empty() => "option --list-fields conflicts with option --yq",
        () if args.list_fields && !args.filter.is_empty() => {
            "option --list-fields conflicts with option --filter"
        }
        () if args.quiet && (args.json || !matches!(format, None | Some("table"))) => {
            "option --quiet can only be used with '--format table'"
        }
        () => "",
    };
    if !conflict.is_empty() {
        anyhow::bail!(conflict);
    }
    Ok(match format {
        _ if args.json => Shown::Data(Output::Json),
        None | Some("table") if args.quiet => Shown::Names,
        None if !args.yq.is_empty() => Shown::Data(Output::Json),
        None | Some("table") => Shown::Table,
        Some("json") => Shown::Data(Output::Json),
        Some("yaml") => Shown::Data(Output::Yaml),
        Some(template) => Shown::Template(template),
    })
}

/// `--filter` and `--yq`.
struct Selection {
    filters: Vec<Expressions>,
    yq: Option<Expressions>,
}

impl Selection {
    fn parse(args: &ListArgs) -> Result<Selection, anyhow::Error> {
        let filter = |expression: &String| Expressions::parse(&[format!("select({expression})")]);
        let mut expressions = args.yq.clone();
        if args.quiet && !expressions.is_empty() {
            expressions.push(".name".to_owned());
        }
        Ok(Selection {
            filters: args.filter.iter().map(filter).collect::<Result<_, _>>()?,
            yq: (!expressions.is_empty()).then(|| Expressions::parse(&expressions)).transpose()?,
        })
    }

    fn is_everything(&self) -> bool {
        self.filters.is_empty() && self.yq.is_none()
    }

    fn keep(&self, instances: &mut Vec<Instance>, context: &Context) -> Outcome {
        let mut kept = Vec::new();
        for instance in instances.drain(..) {
            let mut is_wanted = true;
            if !self.filters.is_empty() {
                let input = list_record::filter_input(&instance, context);
                for filter in &self.filters {
                    is_wanted = is_wanted && !filter.run(&input)?.is_empty();
                }
            }
            if is_wanted {
                kept.push(instance);
            }
        }
        *instances = kept;
        Ok(())
    }
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
    let instances: Vec<Instance> = inspect_at_once(context, names).into_iter().flatten().collect();
    for instance in instances.iter().filter(|instance| !instance.problems.is_empty()) {
        let errors: Vec<String> = instance.problems.iter().map(ToString::to_string).collect();
        let errors = format!("[{}]", errors.join(" "));
        tracing::warn!(errors, "instance `{}` has errors", instance.name);
    }
    instances
}

/// The same for several at once: an agent that hangs costs its three seconds, and delays nobody else.
fn inspect_at_once(context: &Context, names: &[String]) -> Vec<Option<Instance>> {
    let lanes = names.len().div_ceil(PER_LANE).min(LANES);
    if lanes < 2 {
        return names.iter().map(|name| inspect(context, name)).collect();
    }
    let lane = |lane: usize| {
        let mine = names.iter().enumerate().skip(lane).step_by(lanes);
        mine.map(|(index, name)| (index, inspect(context, name))).collect::<Vec<_>>()
    };
    let mut found = std::thread::scope(|scope| {
        let running: Vec<_> = (0..lanes).map(|number| scope.spawn(move || lane(number))).collect();
        // A panic in a lane is a defect, and goes on as one.
        let found = running
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        found.flatten().collect::<Vec<_>>()
    });
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, instance)| instance).collect()
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

fn render(
    instances: &[Instance],
    shown: Shown,
    selection: &Selection,
    args: &ListArgs,
    context: &Context,
) -> Result<String, anyhow::Error> {
    match (shown, &selection.yq) {
        (Shown::Names, None) => Ok(instances.iter().map(|instance| format!("{}\n", instance.name)).collect()),
        (Shown::Names, Some(expressions)) => data(instances, Output::Json, Some(expressions), context),
        (Shown::Data(output), expressions) => data(instances, output, expressions.as_ref(), context),
        (Shown::Table, _) => {
            let all = args.all_fields;
            let width = if all { None } else { crate::sys::terminal::columns(std::io::stdout()) };
            let home = context.host.home.as_deref().and_then(std::path::Path::to_str);
            Ok(list_table::table(instances, width, context.host.arch, home))
        }
        (Shown::Template(source), _) => templated(instances, source, context),
    }
}

fn data(
    instances: &[Instance],
    output: Output,
    expressions: Option<&Expressions>,
    context: &Context,
) -> Result<String, anyhow::Error> {
    let mut results = Vec::new();
    for instance in instances {
        let record = list_record::json(instance, context);
        match expressions {
            Some(expressions) => results.extend(expressions.run(&record)?),
            None => results.push(record),
        }
    }
    Ok(expressions::print(&results, output, Paint::for_terminal(App::output_is_terminal(context))))
}

fn templated(instances: &[Instance], source: &str, context: &Context) -> Result<String, anyhow::Error> {
    let mut text = String::new();
    let format = Format::new(source, list_record::shape())?;
    for instance in instances {
        text.push_str(&format.render(list_record::template_data(instance, context))?);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ListArgs {
        ListArgs {
            names: Vec::new(),
            format: None,
            json: false,
            list_fields: false,
            quiet: false,
            all_fields: false,
            yq: Vec::new(),
            filter: Vec::new(),
        }
    }

    fn told(args: &ListArgs) -> Result<Shown<'_>, String> {
        shown(args).map_err(|error| error.to_string())
    }

    #[test]
    fn formats_are_chosen_as_upstream_chooses_them() {
        let yq = vec![".name".to_owned()];
        let format = |name: &str| Some(name.to_owned());
        assert_eq!(told(&ListArgs { quiet: true, ..args() }), Ok(Shown::Names));
        assert_eq!(told(&ListArgs { quiet: true, yq: yq.clone(), ..args() }), Ok(Shown::Names));
        assert_eq!(told(&ListArgs { format: format("json"), ..args() }), Ok(Shown::Data(Output::Json)));
        assert_eq!(told(&ListArgs { yq: yq.clone(), ..args() }), Ok(Shown::Data(Output::Json)));
        assert_eq!(told(&ListArgs { yq, format: format("yaml"), ..args() }), Ok(Shown::Data(Output::Yaml)));
        assert_eq!(
            told(&ListArgs { format: format("{{.Name}}"), ..args() }),
            Ok(Shown::Template("{{.Name}}"))
        );
        assert_eq!(told(&args()), Ok(Shown::Table));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        let format = |name: &str| Some(name.to_owned());
        let yq = vec![".name".to_owned()];
        for (args, message) in [
            (
                ListArgs { format: format("table"), json: true, ..args() },
                "option --json conflicts with option --format",
            ),
            (
                ListArgs { format: format("json"), list_fields: true, ..args() },
                "option --list-fields conflicts with option --format",
            ),
            (
                ListArgs { format: format("table"), yq: yq.clone(), ..args() },
                "option --yq only works with --format json or yaml",
            ),
            (
                ListArgs { list_fields: true, yq: yq.clone(), ..args() },
                "option --list-fields conflicts with option --yq",
            ),
            (
                ListArgs { list_fields: true, filter: yq, ..args() },
                "option --list-fields conflicts with option --filter",
            ),
            (
                ListArgs { json: true, quiet: true, ..args() },
                "option --quiet can only be used with '--format table'",
            ),
            (
                ListArgs { format: format("{{.Name}}"), quiet: true, ..args() },
                "option --quiet can only be used with '--format table'",
            ),
        ] {
            assert_eq!(told(&args).unwrap_err(), message);
        }
    }

    #[test]
    fn wanted_names_keep_their_order() {
        let all = ["a", "b", "c"].map(str::to_owned);
        let wanted = ["c", "x", "a", "c"].map(str::to_owned);
        assert_eq!(select(&all, &wanted), (["c", "a", "c"].map(str::to_owned).to_vec(), true));
        assert_eq!(select(&all, &[]), (all.to_vec(), false));
    }
}
