//! Where migrations of slots stand at either end, as the log says.

use protocol::slots::SlotSet;

/// State of a migration at its target, kept by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    Importing(SlotSet),
    Owned(SlotSet),
    Aborted,
}

/// State of a migration at its source, kept by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// The target has been asked to take the slots over; requests to them wait.
    Frozen(SlotSet),
    /// The target owns the slots.
    Given(SlotSet),
}
