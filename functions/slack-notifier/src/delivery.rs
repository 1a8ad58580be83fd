//! The alerts of a batch on their way to Slack: all in one message, or, where Slack refuses that for what is in it, one by one.

use std::time::Duration;

use ecr_warden_aws::Posted;
use ecr_warden_core::slack;
use serde_json::Value;

/// Slack takes about one message a second; also before trying again where it does not say how long to wait.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Delivery<'a> {
    alerts: &'a [Value],
    taken: Vec<bool>,
    pause: Duration,
}

/// Why a message was not taken, and will not be.
enum SlackRefusal {
    /// For what is in it: another may be taken.
    Content,
    /// No message would be taken: the channel or the webhook is gone, or the webhook's secret can't be read.
    All(String),
}

impl<'a> Delivery<'a> {
    pub(crate) fn of(alerts: &'a [Value], pause: Duration) -> Self {
        Self {
            alerts,
            taken: vec![false; alerts.len()],
            pause,
        }
    }

    /// Where in the batch those are that Slack has not taken, also when `run` was cut off.
    pub(crate) fn not_taken(&self) -> Vec<usize> {
        let places = self.taken.iter().enumerate();
        places
            .filter_map(|(place, taken)| (!taken).then_some(place))
            .collect()
    }

    /// # Errors
    /// Why some are left that Slack might have taken, in one line.
    pub(crate) async fn run(
        &mut self,
        post: impl AsyncFn(Value) -> Result<Posted, String>,
    ) -> Result<(), String> {
        match self.post(self.alerts, &post).await {
            Ok(()) => {
                self.taken.fill(true);
                return Ok(());
            }
            Err(SlackRefusal::All(why)) => return Err(why),
            Err(SlackRefusal::Content) if self.alerts.len() == 1 => return Ok(()),
            Err(SlackRefusal::Content) => {}
        }
        for place in 0..self.alerts.len() {
            tokio::time::sleep(self.pause).await;
            let one = self.alerts.get(place).map(std::slice::from_ref);
            match self.post(one.unwrap_or_default(), &post).await {
                Ok(()) => {
                    if let Some(taken) = self.taken.get_mut(place) {
                        *taken = true;
                    }
                }
                Err(SlackRefusal::Content) => {}
                Err(SlackRefusal::All(why)) => return Err(why),
            }
        }
        Ok(())
    }

    /// One message, until Slack takes or refuses it.
    async fn post(
        &self,
        alerts: &[Value],
        post: &impl AsyncFn(Value) -> Result<Posted, String>,
    ) -> Result<(), SlackRefusal> {
        let message = slack::message(alerts);
        loop {
            match post(message.clone()).await.map_err(SlackRefusal::All)? {
                Posted::Taken => return Ok(()),
                Posted::TryAgain { after, why } => {
                    tracing::warn!(why, "Slack did not take the message yet");
                    tokio::time::sleep(after.unwrap_or(self.pause)).await;
                }
                Posted::Refused(why) => {
                    let ids: Vec<&str> = alerts.iter().filter_map(id).collect();
                    let ids = ids.join(", ");
                    tracing::error!(slack_refused = true, why, ids, "Slack refuses the message");
                    return Err(if why.starts_with("400") {
                        SlackRefusal::Content
                    } else {
                        SlackRefusal::All(format!("Slack refuses the message: {why}"))
                    });
                }
            }
        }
    }
}

/// Which it was, for the log.
fn id(alert: &Value) -> Option<&str> {
    alert.get("id").or_else(|| alert.get("AlarmName"))?.as_str()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn alerts(count: usize) -> Vec<Value> {
        (0..count).map(|n| format!("alert{n};").into()).collect()
    }

    /// What was posted, and what is left, where Slack answers as `answer` says.
    async fn delivered(
        count: usize,
        answer: impl Fn(&str, usize) -> Posted,
    ) -> (Vec<String>, Vec<usize>, Result<(), String>) {
        let alerts = alerts(count);
        let posted = RefCell::new(Vec::new());
        let mut delivery = Delivery::of(&alerts, Duration::ZERO);
        let result = delivery
            .run(async |message| {
                let text = message.to_string();
                let answer = answer(&text, posted.borrow().len());
                posted.borrow_mut().push(text);
                Ok(answer)
            })
            .await;
        let left = delivery.not_taken();
        (posted.into_inner(), left, result)
    }

    fn refused(why: &str) -> Posted {
        Posted::Refused(why.to_owned())
    }

    #[tokio::test]
    async fn all_go_in_one_message() {
        let (posted, left, result) = delivered(5, |_, n| match n {
            0 => Posted::TryAgain {
                after: None,
                why: "429".to_owned(),
            },
            _ => Posted::Taken,
        })
        .await;
        assert_eq!((posted.len(), left, result), (2, vec![], Ok(())));
    }

    #[tokio::test]
    async fn one_that_is_refused_does_not_keep_the_others_back() {
        let (posted, left, result) = delivered(5, |text, _| {
            if text.contains("alert3;") {
                refused("400 invalid_payload")
            } else {
                Posted::Taken
            }
        })
        .await;
        assert_eq!(posted.len(), 6);
        assert_eq!((left, result), (vec![3], Ok(())));
        let (posted, left, _) = delivered(1, |_, _| refused("400 invalid_payload")).await;
        assert_eq!((posted.len(), left), (1, vec![0]));
    }

    #[tokio::test]
    async fn where_none_would_be_taken_none_is_tried() {
        let (posted, left, result) = delivered(3, |_, _| refused("404 channel_not_found")).await;
        assert_eq!((posted.len(), left), (1, vec![0, 1, 2]));
        assert!(result.is_err());
        // On the way, what was taken stays taken.
        let (_, left, result) = delivered(3, |_, n| match n {
            0 => refused("400 invalid_blocks"),
            1 => Posted::Taken,
            _ => refused("410 channel_is_archived"),
        })
        .await;
        assert_eq!(left, vec![1, 2]);
        assert!(result.is_err());
    }

    #[tokio::test]
    async fn what_was_taken_is_known_when_time_runs_out() {
        let alerts = alerts(3);
        let mut delivery = Delivery::of(&alerts, Duration::ZERO);
        let calls = Cell::new(0);
        let run = delivery.run(async |_| {
            let call = calls.get() + 1;
            calls.set(call);
            match call {
                1 => Ok(refused("400 invalid_blocks")),
                2 => Ok(Posted::Taken),
                _ => std::future::pending().await,
            }
        });
        let _ = tokio::time::timeout(Duration::from_millis(200), run).await;
        assert_eq!(delivery.not_taken(), vec![1, 2]);
    }
}
