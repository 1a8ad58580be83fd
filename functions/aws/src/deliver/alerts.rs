//! The topic that alerts go to, and whether it has a subscriber.

use std::sync::OnceLock;

use aws_sdk_sns::Client;
use aws_types::SdkConfig;
use ecr_warden_core::alert::Alert;

use crate::connect::clients::Clients;
use crate::deliver::audience::Audience;
use crate::deliver::publish::publish;

/// The alert topic.
#[derive(Debug)]
pub(crate) struct AlertTopic {
    config: SdkConfig,
    /// Created for the first alert.
    sns: OnceLock<Client>,
    arn: String,
    audience: Audience,
}

impl AlertTopic {
    pub(crate) fn new(clients: &Clients, arn: String) -> Self {
        Self {
            config: clients.config().clone(),
            sns: OnceLock::new(),
            arn,
            audience: Audience::default(),
        }
    }

    fn sns(&self) -> &Client {
        self.sns.get_or_init(|| Client::new(&self.config))
    }

    pub(crate) async fn publish(&self, alert: &Alert) -> Result<(), String> {
        publish(self.sns(), &self.arn, &alert.message())
            .await
            .map_err(|failure| format!("the alert could not be published: {failure}"))
    }

    /// Whether what was published just now counts as delivered. It is asked after the publish, at most once a minute.
    pub(crate) async fn is_heard(&self) -> bool {
        self.audience.listens(self.sns(), &self.arn).await
    }

    /// The same for a sweep, which always asks: it logs a topic without subscribers even if it had nothing to report.
    pub(crate) async fn is_heard_now(&self) -> bool {
        self.audience.ask(self.sns(), &self.arn).await
    }
}
