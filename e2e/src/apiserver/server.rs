//! The one state all requests share, and the transaction through which every change goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::LogSource;
use super::auth::Tokens;
use super::failure::Failure;
use super::resource::Registry;
use super::store::Objects;

pub struct Server {
    pub objects: Mutex<Objects>,
    /// The newest revision; watches, the garbage collector and persistence wait on it.
    pub changed: watch::Sender<u64>,
    pub registry: RwLock<Arc<Registry>>,
    pub tokens: Tokens,
    pub log_source: RwLock<Option<Arc<dyn LogSource>>>,
    pub stop: CancellationToken,
}

impl Server {
    pub fn new(objects: Objects, tokens: Tokens) -> Self {
        let registry = RwLock::new(Arc::new(super::crd::registry(&objects)));
        Self {
            changed: watch::Sender::new(objects.revision()),
            objects: Mutex::new(objects),
            registry,
            tokens,
            log_source: RwLock::new(None),
            stop: CancellationToken::new(),
        }
    }

    /// A transaction that panicked changed nothing half-way: objects are replaced as a whole. So
    /// a poisoned lock is still good.
    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn log_source(&self) -> Option<Arc<dyn LogSource>> {
        self.log_source
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs one change alone. Reading, checking and writing under one lock is what makes
    /// resourceVersion checks, admission and garbage collection free of races.
    pub fn transact<T>(
        &self,
        change: impl FnOnce(&mut Objects) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut objects = self.objects();
        let before = objects.revision();
        let result = change(&mut objects);
        let after = objects.revision();
        if super::crd::definitions_changed(&objects, before) {
            let fresh = Arc::new(super::crd::registry(&objects));
            *self
                .registry
                .write()
                .unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        drop(objects);
        if after != before {
            self.changed.send_replace(after);
        }
        result
    }
}
