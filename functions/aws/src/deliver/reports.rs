//! Reports that are too large for an answer, in a bucket.

use aws_sdk_s3::primitives::ByteStream;
use ecr_warden_core::audit::{Audit, Locations};
use ecr_warden_core::ledger::{self, Change, Ledger};
use ecr_warden_core::report;
use time::OffsetDateTime;

use crate::connect::clients::Clients;
use crate::connect::error::Failure;

/// A ledger and a report are smaller, in bytes.
const LARGEST: i64 = 256 * 1024 * 1024;

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
            let location = self.put(&key, kind, text).await;
            kept.push(
                location.map_err(|failure| format!("the report could not be kept: {failure}"))?,
            );
        }
        let [json, csv, html]: [String; 3] = kept
            .try_into()
            .map_err(|_| "a form of the report is missing".to_owned())?;
        Ok(Locations { json, csv, html })
    }

    /// Keeps the changes of a sweep under a name of its own; `None`: there are none. A retry writes another one: by then nothing may be
    /// left of what the first one lists.
    ///
    /// # Errors
    /// S3 does not take it.
    pub(crate) async fn keep_changes(
        &self,
        changes: &[Change],
        request_id: &str,
    ) -> Result<Option<Ledger>, Failure> {
        if changes.is_empty() {
            return Ok(None);
        }
        let now = OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        let key = format!(
            "changes/{}/{hour:02}{minute:02}{second:02}-{request_id}.jsonl",
            now.date()
        );
        let text = ledger::write(changes);
        let location = self.put(&key, "application/jsonl", text).await?;
        Ok(Some(Ledger {
            location,
            changes: changes.len(),
        }))
    }

    async fn put(&self, key: &str, kind: &str, text: String) -> Result<String, Failure> {
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(kind)
            .body(ByteStream::from(text.into_bytes()))
            .send()
            .await
            .map_err(|error| Failure::of("s3:PutObject", &error))?;
        Ok(format!("s3://{}/{key}", self.bucket))
    }
}

/// Reads the changes of a sweep where its message says that they are.
///
/// # Errors
/// One line: the location is none, S3 does not give it out, or it is no ledger.
pub async fn read_changes(clients: &Clients, location: &str) -> Result<Vec<Change>, String> {
    if bucket_and_key(location).is_none() {
        return Err(format!(
            "`{location}` is not where changes are listed: a sweep's message names it, as `s3://BUCKET/changes/…`"
        ));
    }
    let text = read_text(clients, location).await?;
    ledger::read(&text).map_err(|why| format!("{location}: {why}"))
}

fn bucket_and_key(location: &str) -> Option<(&str, &str)> {
    location.strip_prefix("s3://")?.split_once('/')
}

/// Reads an object by its S3 URI.
///
/// # Errors
/// One line: the location is none, S3 does not give it out, or it is too large or no text.
pub(crate) async fn read_text(clients: &Clients, location: &str) -> Result<String, String> {
    let (bucket, key) = bucket_and_key(location)
        .ok_or_else(|| format!("`{location}` is not an S3 URI (`s3://BUCKET/KEY`)"))?;
    let get = clients.s3().get_object().bucket(bucket).key(key);
    let object = get
        .send()
        .await
        .map_err(|error| Failure::of("s3:GetObject", &error).to_string())?;
    if object
        .content_length()
        .is_none_or(|length| length > LARGEST)
    {
        return Err(format!("{location} is larger than {LARGEST} bytes"));
    }
    let bytes = object
        .body
        .collect()
        .await
        .map_err(|error| error.to_string())?;
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}
