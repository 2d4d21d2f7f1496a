//! The playground: the whole product on this machine with one command.
//!
//! Starts the embedded control plane, installs the operator, applies a manifest, shows what happens
//! and takes a few commands that make things go wrong.

mod command;
mod hints;
mod screen;
mod table;
mod view;

use crate::platform::{Binaries, product_images};
use crate::platform::{EmbeddedOptions, InstallOptions, Platform, PlatformError, workspace_file};
use anyhow::Context;
use command::Command;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use screen::Screen;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;
use view::View;

const DEFAULT_MANIFEST: &str = "examples/demo.yaml";
const NAMESPACE: &str = "default";
/// Rhythm of the display.
const REFRESH: Duration = Duration::from_millis(200);

/// What the user may say on the command line.
#[derive(Debug, clap::Parser)]
#[command(
    name = "playground",
    about = "KVCluster on this machine, with one command"
)]
pub struct Arguments {
    /// Keep all state here, and go on with what an earlier run left here.
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Run these KVClusters instead of examples/demo.yaml.
    #[arg(long)]
    pub manifest: Option<PathBuf>,
}

/// Runs until Ctrl-C or SIGTERM.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut screen = Screen::new();
    screen.say("Building kv-node and kv-operator ...");
    let binaries = tokio::select! {
        binaries = Binaries::ready() => binaries?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    screen.say("Starting the control plane ...");
    let begun = Instant::now();
    let options = EmbeddedOptions {
        state_dir: arguments.state_dir.clone(),
        images: Some(product_images(&binaries)),
        ..EmbeddedOptions::default()
    };
    let platform = tokio::select! {
        platform = Platform::embedded(options) => platform?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let shown = tokio::select! {
        shown = show(&platform, &arguments, &mut screen, begun) => shown,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    screen.leave();
    screen.say("Stopping everything ...");
    platform.shutdown().await?;
    match arguments.state_dir {
        Some(directory) => {
            screen.say(&format!(
                "Stopped. The state is kept in {}.",
                directory.display()
            ));
        }
        None => screen.say("Stopped, and temporary state removed."),
    }
    shown
}

async fn show(
    platform: &Platform,
    arguments: &Arguments,
    screen: &mut Screen,
    begun: Instant,
) -> anyhow::Result<()> {
    screen.say("Installing the operator ...");
    platform
        .install_operator(&InstallOptions::default())
        .await?;
    let clusters = clusters(platform);
    apply_manifest(platform, arguments, &clusters, screen).await?;
    let mut commands = command::from_standard_input();
    let mut is_told = false;
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            _ = refresh.tick() => {}
            Some(line) = commands.recv() => carry_out(platform, &line, screen).await,
        }
        let views = match views(platform, &clusters).await {
            Ok(views) => views,
            Err(error) => {
                tracing::warn!(%error, "looking at the clusters");
                continue;
            }
        };
        screen.show(&table::lines(&views));
        if !is_told && !views.is_empty() && views.iter().all(View::is_ready) {
            is_told = true;
            let seconds = begun.elapsed().as_secs_f64();
            screen.leave();
            screen.say(&format!("Ready after {seconds:.1} s."));
            for line in hints::lines(platform.kubeconfig(), &views) {
                screen.say(&line);
            }
        }
    }
}

fn clusters(platform: &Platform) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("kvcluster.dev", "v1alpha1", "KVCluster");
    let resource = ApiResource::from_gvk_with_plural(&kind, "kvclusters");
    Api::namespaced_with(platform.client(), NAMESPACE, &resource)
}

/// Applies the manifest, unless an earlier run's clusters are here and the user named no other:
/// what was changed then, such as the number of shards, must stay.
async fn apply_manifest(
    platform: &Platform,
    arguments: &Arguments,
    clusters: &Api<DynamicObject>,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let present = clusters.list(&ListParams::default()).await?;
    let names = |objects: &[DynamicObject]| {
        objects
            .iter()
            .map(ResourceExt::name_any)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if arguments.manifest.is_none() && !present.items.is_empty() {
        screen.say(&format!(
            "Going on with {} of an earlier run.",
            names(&present.items)
        ));
        return Ok(());
    }
    let default = || workspace_file(DEFAULT_MANIFEST);
    let path = arguments.manifest.clone().unwrap_or_else(default);
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    let applied = platform.apply(&text, NAMESPACE).await?;
    screen.say(&format!("Applied {}.", names(&applied)));
    Ok(())
}

async fn views(
    platform: &Platform,
    clusters: &Api<DynamicObject>,
) -> Result<Vec<View>, PlatformError> {
    let failed = |source| PlatformError::Api {
        act: "listing".to_owned(),
        source,
    };
    let listed = clusters
        .list(&ListParams::default())
        .await
        .map_err(failed)?;
    let pods = Api::namespaced(platform.client(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await.map_err(failed)?;
    let view = |cluster: &DynamicObject| View::new(cluster, &pods.items);
    Ok(listed.items.iter().map(view).collect())
}

async fn carry_out(platform: &Platform, line: &str, screen: &mut Screen) {
    let command = match Command::parse(line) {
        Ok(Some(command)) => command,
        Ok(None) => return,
        Err(usage) => return screen.note(&usage),
    };
    let Some(faults) = platform.faults() else {
        return;
    };
    let done = match &command {
        Command::Kill(pod) => faults.kill(NAMESPACE, pod),
        Command::Pause(pod) => faults.pause(NAMESPACE, pod),
        Command::Resume(pod) => faults.resume(NAMESPACE, pod),
        Command::Cut(one, other) => faults.cut(NAMESPACE, one, other).await,
        Command::Heal => faults.heal().await,
    };
    match done {
        Ok(()) => screen.note(&format!("done: {line}")),
        Err(error) => screen.note(&error.to_string()),
    }
}

/// Lines the user typed.
type Lines = mpsc::Receiver<String>;
