//! Who asks: the API server reads the token, and its words decide.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use onepull_api::logins::{AGENT_ACCOUNT, AUDIENCE};

use super::refusal::Refusal;

/// What a token says of the pod that it is bound to (Kubernetes 1.32 and later).
const NODE: &str = "authentication.kubernetes.io/node-name";

/// Asks the API server about tokens.
pub(super) struct Reviewer {
    reviews: Api<TokenReview>,
    /// The user that agents are.
    agent: String,
}

// === impl Reviewer ===

impl Reviewer {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let agent = format!("system:serviceaccount:{namespace}:{AGENT_ACCOUNT}");
        Self { reviews: Api::all(client), agent }
    }

    /// The node whose agent has this token.
    pub(super) async fn node(&self, token: &str) -> Result<String, Refusal> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: Some(vec![AUDIENCE.to_owned()]),
            },
            status: None,
        };
        let reviewed = self.reviews.create(&PostParams::default(), &review).await?;
        node(reviewed.status.unwrap_or_default(), &self.agent)
    }
}

/// The node that an authenticated token is bound to. An API server that does not know audiences says
/// none, and does not count: its word would be for any token.
fn node(status: TokenReviewStatus, agent: &str) -> Result<String, Refusal> {
    let for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !for_us {
        return Err(Refusal::BadToken);
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.unwrap_or_default();
    if name != agent {
        return Err(Refusal::NotAnAgent(name));
    }
    let extra = user.extra.unwrap_or_default();
    match extra.get(NODE).map(Vec::as_slice) {
        Some([node]) if !node.is_empty() => Ok(node.clone()),
        _ => Err(Refusal::NoNode),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    const AGENT: &str = "system:serviceaccount:onepull-system:onepull-agent";

    fn status(user: &str, audience: &str, nodes: &[&str]) -> TokenReviewStatus {
        let nodes = nodes.iter().map(ToString::to_string).collect();
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![audience.to_owned()]),
            user: Some(UserInfo {
                username: Some(user.to_owned()),
                extra: Some(BTreeMap::from([(NODE.to_owned(), nodes)])),
                ..Default::default()
            }),
            error: None,
        }
    }

    #[test]
    fn only_the_agent_of_one_node_is_believed() {
        assert_eq!(node(status(AGENT, AUDIENCE, &["a"]), AGENT), Ok("a".into()));
        assert_eq!(node(TokenReviewStatus::default(), AGENT), Err(Refusal::BadToken));
        let refused =
            TokenReviewStatus { authenticated: Some(false), ..status(AGENT, AUDIENCE, &["a"]) };
        assert_eq!(node(refused, AGENT), Err(Refusal::BadToken));
        let any = TokenReviewStatus { audiences: None, ..status(AGENT, AUDIENCE, &["a"]) };
        assert_eq!(node(any, AGENT), Err(Refusal::BadToken));
        assert_eq!(node(status(AGENT, "other", &["a"]), AGENT), Err(Refusal::BadToken));
        let tenant = "system:serviceaccount:team:onepull-agent";
        let refused = Err(Refusal::NotAnAgent(tenant.into()));
        assert_eq!(node(status(tenant, AUDIENCE, &["a"]), AGENT), refused);
        for nodes in [&[][..], &[""], &["a", "b"]] {
            assert_eq!(node(status(AGENT, AUDIENCE, nodes), AGENT), Err(Refusal::NoNode));
        }
    }
}
