//! Runs a scenario as a test: on the control plane that the tests of this process share, or on one
//! of its own. When it fails, the evidence is printed.

use super::{Scene, evidence};
use crate::platform::{InstallOptions, Platform};
use futures::FutureExt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, LazyLock, Weak};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// All tests' runtime: a control plane outlives the test that started it.
#[allow(clippy::expect_used)] // Without a runtime there is nothing to test.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Another one is there already when a test brought its own.
    let _ = logger.try_init();
    Runtime::new().expect("a runtime")
});

/// The shared control plane, while a scenario uses it. The last one out stops it: what is left at
/// the end of a process is not dropped, and pods would go on.
static SHARED: LazyLock<Mutex<Weak<Platform>>> = LazyLock::new(Mutex::default);

/// Runs a scenario on the shared control plane.
///
/// # Panics
/// When the scenario does, or gives an error.
pub fn run<Story, Telling>(name: &str, story: Story)
where
    Story: FnOnce(Scene) -> Telling,
    Telling: Future<Output = anyhow::Result<()>>,
{
    RUNTIME.block_on(async {
        let platform = shared().await;
        let told = tell(Arc::clone(&platform), name, story).await;
        // Under the lock, so that no other scenario comes in while the last one goes out.
        let shared = SHARED.lock().await;
        stop(platform).await;
        drop(shared);
        conclude(told);
    });
}

/// Runs a scenario on a control plane of its own, because it stops what others need.
///
/// # Panics
/// When the scenario does, or gives an error.
pub fn run_alone<Story, Telling>(name: &str, story: Story)
where
    Story: FnOnce(Scene) -> Telling,
    Telling: Future<Output = anyhow::Result<()>>,
{
    RUNTIME.block_on(async {
        let platform = start().await;
        let told = tell(Arc::clone(&platform), name, story).await;
        stop(platform).await;
        conclude(told);
    });
}

async fn shared() -> Arc<Platform> {
    let mut shared = SHARED.lock().await;
    if let Some(platform) = shared.upgrade() {
        return platform;
    }
    let platform = start().await;
    *shared = Arc::downgrade(&platform);
    platform
}

#[allow(clippy::panic)] // A scenario cannot begin; this is a test's failure.
async fn start() -> Arc<Platform> {
    let started = async {
        let platform = Platform::start().await?;
        platform
            .install_operator(&InstallOptions::default())
            .await?;
        anyhow::Ok(platform)
    };
    match started.await {
        Ok(platform) => Arc::new(platform),
        Err(error) => panic!("no control plane: {error:#}"),
    }
}

/// Stops the control plane when nobody else uses it.
async fn stop(platform: Arc<Platform>) {
    if let Some(platform) = Arc::into_inner(platform)
        && let Err(error) = platform.shutdown().await
    {
        eprintln!("stopping the control plane: {error}");
    }
}

type Told = Result<anyhow::Result<()>, Box<dyn std::any::Any + Send>>;

async fn tell<Story, Telling>(platform: Arc<Platform>, name: &str, story: Story) -> Told
where
    Story: FnOnce(Scene) -> Telling,
    Telling: Future<Output = anyhow::Result<()>>,
{
    let scene = match Scene::new(platform, name).await {
        Ok(scene) => scene,
        Err(error) => return Ok(Err(error)),
    };
    let told = AssertUnwindSafe(story(scene.clone())).catch_unwind().await;
    if !matches!(told, Ok(Ok(()))) {
        eprintln!("evidence of {name}:\n{}", evidence::gather(&scene).await);
    }
    told
}

#[allow(clippy::panic)] // The test fails.
fn conclude(told: Told) {
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => resume_unwind(panic),
    }
}
