//! Reports that are too large for an answer, in a bucket.

use aws_sdk_s3::primitives::ByteStream;
use ecr_warden_core::audit::{Audit, Locations};
use ecr_warden_core::report;

use crate::clients::Clients;
use crate::failure::Failure;

/// The bucket that reports are kept in.
#[derive(Debug)]
pub struct Reports {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl Reports {
    #[must_use]
    pub fn new(clients: &Clients, bucket: String) -> Self {
        Self {
            s3: clients.s3(),
            bucket,
        }
    }

    /// Keeps a report in all its forms under a name, and says where.
    ///
    /// # Errors
    /// One line.
    pub async fn keep(&self, name: &str, audit: &Audit, at: &str) -> Result<Locations, String> {
        let forms = [
            ("json", "application/json"),
            ("csv", "text/csv"),
            ("html", "text/html; charset=utf-8"),
        ];
        let mut kept = Vec::new();
        for (form, kind) in forms {
            // One after the other: each can be tens of megabytes.
            let text = match form {
                "json" => report::json(audit),
                "csv" => report::csv(audit),
                _ => report::html(audit, at)?,
            };
            let key = format!("{name}.{form}");
            self.s3
                .put_object()
                .bucket(&self.bucket)
                .key(&key)
                .content_type(kind)
                .body(ByteStream::from(text.into_bytes()))
                .send()
                .await
                .map_err(|error| {
                    let failure = Failure::of("s3:PutObject", &error);
                    format!("the report could not be kept: {failure}")
                })?;
            kept.push(format!("s3://{}/{key}", self.bucket));
        }
        let [json, csv, html]: [String; 3] = kept
            .try_into()
            .map_err(|_| "a form of the report is missing".to_owned())?;
        Ok(Locations { json, csv, html })
    }
}
