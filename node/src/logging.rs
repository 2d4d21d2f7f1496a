//! The process' own log: how its lines look, and from which level on there are any
//! (`RUST_LOG` at first, then `loglevel`).

use crate::execute::config::LogLevel;
use crate::options::LogFormat;
use std::sync::OnceLock;
use tracing_subscriber::{EnvFilter, reload};

/// Replaces the filter of the log, which is one for the whole process.
type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

static REPLACE: OnceLock<Replace> = OnceLock::new();

/// Begins to log.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr);
    let replace: Replace = match format {
        LogFormat::Text => {
            let subscriber = subscriber.with_env_filter(filter).with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Box::new(move |filter| handle.reload(filter))
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().with_env_filter(filter);
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Box::new(move |filter| handle.reload(filter))
        }
    };
    // It is called once.
    let _ = REPLACE.set(replace);
}

/// Logs from another level on. Without [`start`], as in tests, nothing is logged anyway.
pub fn set_level(level: LogLevel) {
    if let Some(replace) = REPLACE.get()
        && let Err(error) = replace(EnvFilter::new(directive(level)))
    {
        tracing::warn!("loglevel: {error}");
    }
}

/// What Redis tells verbosely is told here at the level for debugging.
fn directive(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "trace",
        LogLevel::Verbose => "debug",
        LogLevel::Notice => "info",
        LogLevel::Warning => "warn",
        LogLevel::Nothing => "off",
    }
}
