//! Publishing: messages to the sessions that have subscribed to a channel.

use super::Engine;

impl Engine {
    /// Sends a message to everybody who has subscribed to the channel; gives how many they are.
    pub fn publish(&mut self, _channel: &[u8], _message: &[u8]) -> usize {
        0
    }
}
