//! What a member's process has asked of the kernel.

use crate::harness::{Cluster, text};
use std::fs::read_to_string;

#[tokio::test]
async fn a_member_refuses_huge_pages() {
    let cluster = Cluster::start(1, 1).await;
    let info = text(&cluster.run("s0-0", "INFO server").await);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"));
    let status = read_to_string(format!("/proc/{}/status", line.unwrap().trim())).unwrap();
    assert!(status.contains("THP_enabled:\t0\n"), "{status}");
}
