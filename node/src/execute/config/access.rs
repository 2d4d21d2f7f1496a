//! Options on who may do what.

use super::{ConfigOption, at_start, number, settable, yes_no};

pub const OPTIONS: &[ConfigOption] = &[
    settable(
        "acl-pubsub-default",
        |config, _| channels(config.acl_all_channels).to_owned(),
        |config, text| {
            let mut choices = [true, false].into_iter();
            config.acl_all_channels = choices
                .find(|all| channels(*all).eq_ignore_ascii_case(text))
                .ok_or("argument(s) must be one of the following: allchannels, resetchannels")?;
            Ok(())
        },
    ),
    at_start(
        "aclfile",
        |config, _| config.acl_file.clone(),
        |config, text| {
            text.clone_into(&mut config.acl_file);
            Ok(())
        },
    ),
    settable(
        "acllog-max-len",
        |config, _| config.acl_log_entries_max.to_string(),
        |config, text| {
            config.acl_log_entries_max = number(text, 0, i64::MAX as u64)? as usize;
            Ok(())
        },
    ),
    settable(
        "protected-mode",
        |config, _| yes_no(config.protected_mode),
        |config, text| {
            config.protected_mode = switch(text)?;
            Ok(())
        },
    ),
    settable(
        "requirepass",
        |config, _| config.requirepass.clone(),
        |config, text| {
            text.clone_into(&mut config.requirepass);
            Ok(())
        },
    ),
];

fn channels(all: bool) -> &'static str {
    if all { "allchannels" } else { "resetchannels" }
}

/// `yes` or `no`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}
