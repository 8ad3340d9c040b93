//! `limactl info`: facts about this installation, for programs.

use clap::Args;
use serde_json::{Map, Value, json};

use super::context::App;
use super::expressions::{self, Expressions, Output};
use super::paint::Paint;
use super::plugins::{Places, Plugin};
use super::{Outcome, locator, print, shell_env, tree, validate};
use crate::config::{self, Text};
use crate::driver;
use crate::instance::Context;
use crate::template::{Http, Library, Listed};

/// Show facts about this installation
#[derive(Debug, Args)]
#[command(override_usage = "limactl info [flags]")]
pub struct InfoArgs {
    /// Process the output with a yq expression
    #[arg(long, value_name = "EXPRESSION", default_value = ".")]
    pub yq: String,
}

pub fn run(args: InfoArgs, app: &App) -> Outcome {
    let expressions = Expressions::parse(&[args.yq])?;
    let context = app.context()?;
    let paint = Paint::for_terminal(App::output_is_terminal(&context));
    let results = expressions.run(&info(&context)?)?;
    print(&expressions::print(&results, Output::IndentedJson, paint))
}

/// Keys and order are upstream's. No guest agent is installed in guests, so there are none to tell of.
fn info(context: &Context) -> Result<Value, anyhow::Error> {
    tracing::debug!("limactl {} behaves as Lima {}", env!("CARGO_PKG_VERSION"), tree::VERSION);
    let http = Http::default();
    let library = locator::library(&context.host, &http);
    let places = Places::of_this_process();
    let drivers: Map<String, Value> =
        driver::NAMES.iter().map(|name| ((*name).to_owned(), json!({"location": "internal"}))).collect();
    Ok(json!({
        "version": tree::VERSION,
        "templates": library.list()?.iter().map(template).collect::<Value>(),
        "defaultTemplate": default_template(context, &library)?,
        "limaHome": context.home.root(),
        "vmTypes": driver::NAMES,
        "vmTypesEx": drivers,
        "guestAgents": {},
        "shellEnvBlock": shell_env::BLOCKED,
        "hostOS": context.host.os.name(),
        "hostArch": context.host.arch.name(),
        "identityFile": context.home.identity(),
        "plugins": null_if_empty(places.plugins().iter().map(plugin)),
        "libexecPaths": null_if_empty(places.libexec().iter().map(|path| json!(path))),
        "sharePaths": null_if_empty(places.share().iter().map(|path| json!(path))),
    }))
}

/// As Go prints a list that nothing was added to.
fn null_if_empty(values: impl Iterator<Item = Value>) -> Value {
    let values: Vec<Value> = values.collect();
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

fn template(listed: &Listed) -> Value {
    json!({"name": listed.name, "location": listed.location})
}

fn plugin(plugin: &Plugin) -> Value {
    let mut value = json!({"name": plugin.name, "path": plugin.path});
    if !plugin.description.is_empty() {
        value["description"] = json!(plugin.description);
    }
    value
}

/// The default template with its defaults, its bases left as they are. The driver is chosen when an instance is created.
fn default_template(context: &Context, library: &Library) -> Result<Value, anyhow::Error> {
    let template = library.read(locator::DEFAULT)?;
    let file = context.home.root().join("default.yaml");
    let loaded = context.home.fill_new(locator::DEFAULT, &template.text, &file, &context.host)?;
    loaded.warnings.iter().for_each(validate::warn);
    let mut document = loaded.config.document;
    let (written, _) = config::read(Text { label: locator::DEFAULT, bytes: &template.text })?;
    if let (None, Some(members)) = (written.vm_type, document.as_object_mut()) {
        members.shift_remove("vmType");
    }
    Ok(document)
}
