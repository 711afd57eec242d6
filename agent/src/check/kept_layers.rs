//! Does containerd keep layers after it has unpacked them? Only then can peers have them.

use super::{
    Finding,
    settings::{Pulls, Settings},
};

const NAME: &str = "layers";

pub(super) fn check(settings: &Settings) -> Finding {
    match &settings.discards_layers {
        Ok(false) => Finding::ok(NAME, "kept after unpacking"),
        Ok(true) => Finding::warning(
            NAME,
            "dropped after unpacking: of images that nobody declared, this node has little to give",
            &format!(
                "set discard_unpacked_layers = false in containerd's configuration{}, and restart \
                 it; the agent keeps the layers of declared images in any case",
                and_one_folder(settings)
            ),
        ),
        Err(reason) => Finding::warning(
            NAME,
            format!("not known whether they are kept after unpacking: {reason}"),
            "see whether discard_unpacked_layers is true in containerd's configuration; then peers \
             get only declared images from this node",
        ),
    }
}

/// Once layers are kept, a list would be taken for one folder.
fn and_one_folder(settings: &Settings) -> &'static str {
    match settings.pulls {
        Pulls::ItselfToDropLayers if settings.folders().nth(1).is_some() => {
            " and one folder alone as config_path"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_keep_layers_hears_what_else_that_takes() {
        let todo = |pulls, path: &str| {
            let settings = Settings {
                config_path: Ok(path.into()),
                has_mirrors: false,
                discards_layers: Ok(true),
                pulls,
                table: "",
            };
            check(&settings).todo.unwrap().contains("one folder")
        };
        assert!(todo(Pulls::ItselfToDropLayers, "/a:/b"));
        assert!(!todo(Pulls::ItselfToDropLayers, "/a"));
        assert!(!todo(Pulls::Itself, "/a:/b"));
    }
}
