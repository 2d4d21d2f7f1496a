//! Options on what is watched and looked into.

use super::access::switch;
use super::{ConfigOption, at_start, settable, yes_no};

/// Who may use `DEBUG` (`enable-debug-command`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugCommand {
    No,
    Yes,
    /// Clients on the same machine.
    Local,
}

impl DebugCommand {
    const ALL: [Self; 3] = [Self::No, Self::Yes, Self::Local];

    fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Local => "local",
        }
    }
}

/// Of what importance what is logged must be at least (`loglevel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Verbose,
    Notice,
    Warning,
    Nothing,
}

impl LogLevel {
    const ALL: [Self; 5] = [
        Self::Debug,
        Self::Verbose,
        Self::Notice,
        Self::Warning,
        Self::Nothing,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Verbose => "verbose",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Nothing => "nothing",
        }
    }
}

pub const OPTIONS: &[ConfigOption] = &[
    settable(
        "cluster-slot-metrics-enabled",
        |config, _| yes_no(config.slot_metrics),
        |config, text| {
            config.slot_metrics = switch(text)?;
            Ok(())
        },
    ),
    settable(
        "cluster-slot-stats-enabled",
        |config, _| yes_no(config.slot_stats),
        |config, text| {
            config.slot_stats = switch(text)?;
            Ok(())
        },
    ),
    at_start(
        "enable-debug-command",
        |config, _| config.debug_command.name().to_owned(),
        |config, text| {
            let mut choices = DebugCommand::ALL.into_iter();
            config.debug_command = choices
                .find(|choice| choice.name().eq_ignore_ascii_case(text))
                .ok_or("argument(s) must be one of the following: no, yes, local")?;
            Ok(())
        },
    ),
    settable(
        "loglevel",
        |config, _| config.log_level.name().to_owned(),
        |config, text| {
            let mut levels = LogLevel::ALL.into_iter();
            config.log_level = levels
                .find(|level| level.name().eq_ignore_ascii_case(text))
                .ok_or(
                    "argument(s) must be one of the following: debug, verbose, notice, warning, \
                     nothing",
                )?;
            Ok(())
        },
    ),
];
