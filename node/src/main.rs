//! `kv-node`: the storage process.

use clap::Parser;
use kv_node::options::Options;
use kv_node::{logging, start};
use tokio::runtime::{Builder, LocalOptions};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    logging::start(options.log_format);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(start::run(options))
}
