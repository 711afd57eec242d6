//! Answers what the controller asks of images whose registries let only nodes in.

use std::sync::Arc;

use futures::{StreamExt, stream::FuturesUnordered};
use onepull_api::{ImageAnswer, ImageQuestion, MAX_QUESTIONS};
use tokio::sync::watch;
use tracing::info;

use super::told::Told;
use crate::logins::Lookup;

/// What the status says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Registries that the node has logins for.
    pub(super) logins: Vec<String>,
    /// In the order in which they came.
    pub(super) answers: Vec<ImageAnswer>,
}

/// Asks registries whenever the controller asks.
pub(super) struct Answering {
    lookup: Lookup,
    told: watch::Receiver<Arc<Told>>,
    answers: watch::Sender<Answers>,
}

// === impl Answering ===

impl Answering {
    pub(super) fn new(lookup: Lookup, told: watch::Receiver<Arc<Told>>) -> Self {
        Self { lookup, told, answers: watch::Sender::default() }
    }

    pub(super) fn answers(&self) -> watch::Receiver<Answers> {
        self.answers.subscribe()
    }

    /// Ends when nobody asks any more. A question that is taken back is asked to its end, and what comes of
    /// it told to nobody.
    pub(super) async fn run(mut self) {
        let logins = self.lookup.patterns().await;
        self.answers.send_modify(|answers| answers.logins = logins);
        let mut open: Vec<ImageQuestion> = Vec::new();
        let mut asking = FuturesUnordered::new();
        loop {
            let questions = questions(&self.told.borrow_and_update());
            self.keep(&questions);
            for question in self.unanswered(questions) {
                if asking.len() < MAX_QUESTIONS && !open.contains(&question) {
                    info!(image = question.name, "asks the registry for the controller");
                    open.push(question.clone());
                    asking.push(ask(&self.lookup, question));
                }
            }
            tokio::select! {
                changed = self.told.changed() => if changed.is_err() { return },
                Some((question, answer)) = asking.next() => {
                    open.retain(|one| *one != question);
                    self.answers.send_modify(|answers| answers.answers.push(answer));
                }
            }
        }
    }

    /// Forgets what nobody asks any more.
    fn keep(&self, questions: &[ImageQuestion]) {
        self.answers.send_if_modified(|answers| {
            let before = answers.answers.len();
            let is_asked = |answer: &ImageAnswer| questions.iter().any(|one| answer.is_to(one));
            answers.answers.retain(is_asked);
            answers.answers.len() != before
        });
    }

    fn unanswered(&self, mut questions: Vec<ImageQuestion>) -> Vec<ImageQuestion> {
        let answers = &self.answers.borrow().answers;
        questions.retain(|question| !answers.iter().any(|answer| answer.is_to(question)));
        questions
    }
}

async fn ask(lookup: &Lookup, question: ImageQuestion) -> (ImageQuestion, ImageAnswer) {
    let answer = lookup.answer(&question).await;
    (question, answer)
}

/// An earlier run's knowledge is not enough: the controller may have been answered since.
fn questions(told: &Told) -> Vec<ImageQuestion> {
    let object = told.object.as_ref().filter(|_| told.is_current);
    object.map(|object| object.spec.questions.clone()).unwrap_or_default()
}
