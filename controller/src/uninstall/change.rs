//! What the agents' DaemonSet becomes, for their last deed.

use std::path::Path;

use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

use super::{ARGUMENTS, CONTAINER};

/// The volume with what an agent keeps on its node.
const DATA: &str = "data";

/// The volume with the folder that this one is in, and where agents see it.
const PARENT: &str = "data-parent";
const PARENT_PATH: &str = "/run/onepull/data-parent";

/// A strategic merge patch: agents uninstall, on all nodes at once, and see the folder that their own is in. Theirs is
/// a mount, and by its own path no mount can be removed.
pub(super) fn of(daemon_set: &DaemonSet) -> Value {
    let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
    let mut container = json!({"name": CONTAINER});
    let mut pod = json!({});
    if let Some(parent) = parent_of_data(daemon_set) {
        arguments.push(format!("--data-dir-parent={PARENT_PATH}"));
        container["volumeMounts"] = json!([{"name": PARENT, "mountPath": PARENT_PATH}]);
        let host_path = json!({"path": parent, "type": "Directory"});
        pod["volumes"] = json!([{"name": PARENT, "hostPath": host_path}]);
    }
    container["args"] = json!(arguments);
    pod["containers"] = json!([container]);
    json!({"spec": {
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "template": {"spec": pod},
    }})
}

fn parent_of_data(daemon_set: &DaemonSet) -> Option<&str> {
    let volumes = daemon_set.spec.template.spec.as_ref()?.volumes.as_ref()?;
    let data = volumes.iter().find(|volume| volume.name == DATA)?;
    Path::new(&data.host_path.as_ref()?.path).parent()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_see_the_folder_that_theirs_is_in() {
        let volume = json!({"name": "data", "hostPath": {"path": "/var/lib/onepull"}});
        let template = json!({"spec": {"containers": [], "volumes": [volume]}});
        let spec = json!({"selector": {}, "template": template});
        let daemon_set = serde_json::from_value(json!({"spec": spec})).unwrap();
        let pod = &of(&daemon_set)["spec"]["template"]["spec"];
        let seen = "/run/onepull/data-parent";
        let container = json!({
            "name": "agent",
            "args": ["uninstall", "--stay", "--data-dir-parent=/run/onepull/data-parent"],
            "volumeMounts": [{"name": "data-parent", "mountPath": seen}],
        });
        assert_eq!(pod["containers"], json!([container]));
        let host_path = json!({"path": "/var/lib", "type": "Directory"});
        assert_eq!(pod["volumes"], json!([{"name": "data-parent", "hostPath": host_path}]));
    }

    #[test]
    fn agents_without_a_folder_on_their_node_only_uninstall() {
        let pod = &of(&DaemonSet::default())["spec"]["template"]["spec"];
        let args = json!(["uninstall", "--stay"]);
        assert_eq!(*pod, json!({"containers": [{"name": "agent", "args": args}]}));
    }
}
