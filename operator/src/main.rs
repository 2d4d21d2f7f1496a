//! `kv-operator`: `run` carries out KVClusters, `crds` prints the custom resource definition.

use clap::{Parser, Subcommand, ValueEnum};
use kv_operator::run::{RunOptions, run};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "Runs KVClusters on Kubernetes")]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// How log lines are written.
    #[arg(long, env = "KV_LOG_FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,
    /// Which log lines are written, such as `info` or `kv_operator=debug`.
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Carries out KVClusters until stopped.
    Run(RunOptions),
    /// Prints the custom resource definition as YAML.
    Crds,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match options.command {
        Command::Crds => print!("{}", kv_operator::crd::definition_yaml()?),
        Command::Run(run_options) => {
            let filter = EnvFilter::try_new(&options.log)?;
            let lines = tracing_subscriber::fmt().with_env_filter(filter);
            match options.log_format {
                LogFormat::Text => lines.init(),
                LogFormat::Json => lines.json().flatten_event(true).init(),
            }
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(run_options))?;
        }
    }
    Ok(())
}
