//! Loopback addresses for pods, so that every pod can use the same ports.
//!
//! A pool takes a random block of 127.0.0.0/8 and holds a listening socket on the block's first
//! address as its lock: several control planes on one machine cannot take the same block.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Addresses per block; a pod that ends gives its address back.
const BLOCK_BITS: u32 = 12;
const BLOCK_SIZE: u32 = 1 << BLOCK_BITS;
/// Where the lock listens; any port above the privileged ones would do.
const LOCK_PORT: u16 = 26_379;
/// With 4080 blocks, so many misses mean that something else is wrong.
const ATTEMPTS_MAX: usize = 64;

#[derive(Debug)]
pub struct AddressPool {
    base: u32,
    _lock: TcpListener,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    used: BTreeSet<u32>,
    /// Addresses are taken in turn, so that a new pod does not get the address just left.
    next: u32,
}

impl AddressPool {
    /// Takes a free block.
    ///
    /// # Errors
    /// No block of 127.0.0.0/8 could be bound: the system has no such loopback network.
    pub fn new() -> io::Result<Self> {
        let mut last = io::Error::other("no loopback block was tried");
        for _ in 0..ATTEMPTS_MAX {
            let random = uuid::Uuid::new_v4().as_u128() as u32;
            // 127.1.0.0 and above: 127.0.0.x is everybody's.
            let blocks = ((255 - 1) << 16) / BLOCK_SIZE;
            let base = (127 << 24) + (1 << 16) + (random % blocks) * BLOCK_SIZE;
            match TcpListener::bind((Ipv4Addr::from(base + 1), LOCK_PORT)) {
                Ok(lock) => return Ok(Self::over(base, lock)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn over(base: u32, lock: TcpListener) -> Self {
        let state = State {
            used: BTreeSet::new(),
            next: 2,
        };
        Self {
            base,
            _lock: lock,
            state: Mutex::new(state),
        }
    }

    /// An address nobody has; none when the block is used up.
    pub fn take(&self) -> Option<Ipv4Addr> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..BLOCK_SIZE {
            let index = state.next;
            state.next = if index + 2 >= BLOCK_SIZE {
                2
            } else {
                index + 1
            };
            // Addresses that end in 0 or 255 look like mistakes.
            if !matches!(index % 256, 0 | 255) && state.used.insert(index) {
                return Some(Ipv4Addr::from(self.base + index));
            }
        }
        None
    }

    pub fn give_back(&self, address: Ipv4Addr) {
        let index = u32::from(address).wrapping_sub(self.base);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used.remove(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_their_addresses_are_disjoint() {
        let pools = [AddressPool::new().unwrap(), AddressPool::new().unwrap()];
        let taken: Vec<Ipv4Addr> = pools
            .iter()
            .flat_map(|pool| (0..600).filter_map(|_| pool.take()))
            .collect();
        let distinct: BTreeSet<Ipv4Addr> = taken.iter().copied().collect();
        assert_eq!((taken.len(), distinct.len()), (1200, 1200));
        assert!(distinct.iter().all(Ipv4Addr::is_loopback));
    }

    #[test]
    fn an_address_given_back_is_not_the_next_one_taken() {
        let pool = AddressPool::new().unwrap();
        let first = pool.take().unwrap();
        pool.give_back(first);
        assert_ne!(pool.take().unwrap(), first);
    }

    #[test]
    fn a_block_that_is_used_up_gives_none() {
        let pool = AddressPool::new().unwrap();
        let count = std::iter::from_fn(|| pool.take()).count();
        assert!(count > 4000, "{count}");
        assert_eq!(pool.take(), None);
    }
}
