//! How the files stand right now, read only: for `check`.

use std::path::PathBuf;

use super::{
    FileError, HostsConfig, HostsError, Wanted, folders, meaning::Meaning, merge::MergeError,
    read_text,
};

/// How one file stands towards the mirror.
#[derive(Debug)]
pub enum Standing {
    /// The mirror is the first host.
    First,
    /// Another host is asked before the mirror.
    Behind(String),
    /// The file, or the folder, is there and does not name the mirror: pulls go past it.
    Bypassed,
    /// There is no such file, nor a folder for it.
    Missing,
    /// containerd cannot make sense of it, and goes on without it.
    Unreadable(FileError),
    /// It is not made, since it would do harm.
    Refused(FileError),
}

/// Looks at every file that [`install`](super::install) would bring to name the mirror.
///
/// # Errors
/// When the folder of hosts files is there but cannot be listed.
pub fn survey(config: &HostsConfig) -> Result<Vec<(PathBuf, Standing)>, HostsError> {
    let wanted = folders::wanted(&config.hosts_dir, &config.registries)
        .map_err(|source| config.folder_error(source))?;
    let mirror = config.mirror_url();
    Ok(wanted
        .into_iter()
        .map(|wanted| {
            let refused = folders::hides_nothing(&config.hosts_dir, &wanted).err();
            let found = || found(&wanted, &mirror);
            (wanted.file(), refused.map_or_else(found, Standing::Refused))
        })
        .collect())
}

fn found(wanted: &Wanted, mirror: &str) -> Standing {
    match read_text(&wanted.file()) {
        Ok(Some(text)) => standing(&text, mirror),
        Ok(None) if wanted.folder.exists() => Standing::Bypassed,
        Ok(None) => Standing::Missing,
        Err(error) => Standing::Unreadable(error),
    }
}

fn standing(text: &str, mirror: &str) -> Standing {
    match Meaning::of(text) {
        Err(error) => {
            Standing::Unreadable(FileError::Merge(MergeError::NotToml(error.to_string())))
        }
        Ok(says) if !says.hosts.iter().any(|host| host == mirror) => Standing::Bypassed,
        Ok(says) => match says.hosts.into_iter().next() {
            Some(first) if first != mirror => Standing::Behind(first),
            _ => Standing::First,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_judged_by_its_first_host() {
        let mirror = "http://127.0.0.1:29900";
        let ours = format!("[host.\"{mirror}\"]\n");
        assert!(matches!(standing(&ours, mirror), Standing::First));
        let behind = standing(&format!("[host.\"b\"]\n{ours}"), mirror);
        assert!(matches!(behind, Standing::Behind(first) if first == "b"));
        assert!(matches!(standing("", mirror), Standing::Bypassed));
        assert!(matches!(standing("[", mirror), Standing::Unreadable(_)));
    }
}
