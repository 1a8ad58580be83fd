//! The tags of many repositories with one call, from the index of tags that the Resource Groups Tagging API keeps.
//!
//! The index is late: it is evidence that a tag was there, and none that one is missing (API reference, GetResources: it returns
//! resources that have tags or had some). One call, so it is sent without the SDK's crate for it; see the decision.

use std::collections::BTreeMap;

use aws_sdk_ecr::config::http::HttpResponse;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::timeout::TimeoutConfig;
use serde::Deserialize;
use serde_json::json;

use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::connect::signature::Post;

/// API reference, GetResources, `ResourceARNList`.
pub(crate) const MOST_ARNS: usize = 100;

/// By ARN, those that have tags.
pub(crate) type TagsByArn = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaggedResources {
    #[serde(rename = "ResourceTagMappingList")]
    resources: Vec<TaggedResource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TaggedResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
    #[serde(rename = "Tags")]
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tag {
    key: String,
    value: String,
}

/// AWS's error, as a service with a JSON protocol answers it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorAnswer {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: String,
}

/// The tags of the resources with these ARNs, at most [`MOST_ARNS`], as far as the index has them.
///
/// # Errors
/// It may not be asked, or there is no answer.
pub(crate) async fn indexed_tags(aws: &Regional, arns: &[String]) -> Result<TagsByArn, Failure> {
    let config = &aws.config;
    let body = json!({ "ResourceARNList": arns }).to_string();
    let region = config.region().map(|region| region.as_ref().to_owned());
    let region = region.unwrap_or_default();
    let post = Post {
        service: "tagging",
        region: &region,
        path: "/",
        headers: vec![
            ("content-type", "application/x-amz-json-1.1"),
            (
                "x-amz-target",
                "ResourceGroupsTaggingAPI_20170126.GetResources",
            ),
        ],
        body: body.as_bytes(),
    };
    let unsent = |why: &str| Failure::Unavailable(format!("tag:GetResources: {why}"));
    let headers = post.signed_headers(config).await;
    let headers = headers.map_err(|why| unsent(&why))?;
    let http = config
        .http_client()
        .ok_or_else(|| unsent("there is no HTTP client"))?;
    let timeouts = config.timeout_config().cloned();
    let endpoint = post.endpoint(config);
    // Sent as the SDK sends its own: by the same connections, through the same proxy, with the same time limits.
    let operation = Operation::builder()
        .service_name("tagging")
        .operation_name("GetResources")
        .http_client(http)
        .endpoint_url(&endpoint)
        .no_auth()
        .no_retry()
        .timeout_config(timeouts.unwrap_or_else(TimeoutConfig::disabled))
        .serializer(move |(): ()| {
            let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
            request.set_method("POST")?;
            for (name, value) in &headers {
                request
                    .headers_mut()
                    .try_insert(name.clone(), value.clone())?;
            }
            Ok(request)
        })
        .deserializer(answer)
        .build();
    let answer = operation.invoke(()).await;
    let answer = answer.map_err(|error| Failure::of("tag:GetResources", &error))?;
    let tagged = answer.resources.into_iter().map(|resource| {
        let tags = resource.tags.into_iter().map(|tag| (tag.key, tag.value));
        (resource.arn, tags.collect::<BTreeMap<_, _>>())
    });
    Ok(tagged.filter(|(_, tags)| !tags.is_empty()).collect())
}

fn answer(response: &HttpResponse) -> Result<TaggedResources, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return serde_json::from_slice(body).map_err(OrchestratorError::other);
    }
    let refused: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    // The code may stand behind a namespace.
    let code = refused.code.rsplit('#').next().unwrap_or_default();
    let error = ErrorMetadata::builder().code(code).message(refused.message);
    Err(OrchestratorError::operation(error.build()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_sdk_ecr::config::BehaviorVersion;
    use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
    use aws_types::SdkConfig;
    use aws_types::region::Region;

    use super::*;
    use crate::connect::rate_limit::Turns;

    const ARN: &str = "arn:aws:ecr:eu-central-1:111122223333:repository/shop/api";

    fn aws(status: u16, answer: &str) -> (Regional, StaticReplayClient) {
        let request = hyper::Request::new(SdkBody::empty());
        let response = hyper::Response::builder().status(status);
        let response = response.body(SdkBody::from(answer)).unwrap();
        let http = StaticReplayClient::new(vec![ReplayEvent::new(request, response)]);
        let credentials = Credentials::new("a", "b", Some("token".to_owned()), None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http.clone())
            .build();
        let aws = Regional {
            turns: Arc::new(Turns::new(Arc::default(), "111122223333", "eu-central-1")),
            ecr: aws_sdk_ecr::Client::new(&config),
            kms: Arc::new(OnceLock::new()),
            config,
        };
        (aws, http)
    }

    #[tokio::test]
    async fn the_request_is_signed_and_names_the_repositories() {
        let answer = json!({ "PaginationToken": "", "ResourceTagMappingList": [
            { "ResourceARN": ARN, "Tags": [{ "Key": "team", "Value": "shop" }] },
            { "ResourceARN": format!("{ARN}2"), "Tags": [] },
        ] });
        let (aws, http) = aws(200, &answer.to_string());
        let found = indexed_tags(&aws, &[ARN.to_owned()]).await.unwrap();
        let tags = [("team".to_owned(), "shop".to_owned())].into();
        assert_eq!(found, [(ARN.to_owned(), tags)].into());
        let sent = http.actual_requests().next().unwrap();
        assert_eq!(sent.method(), "POST");
        assert_eq!(sent.uri(), "https://tagging.eu-central-1.amazonaws.com/");
        let header = |name| sent.headers().get(name).unwrap_or_default();
        assert_eq!(
            header("x-amz-target"),
            "ResourceGroupsTaggingAPI_20170126.GetResources"
        );
        assert_eq!(header("x-amz-security-token"), "token");
        let scope = "/eu-central-1/tagging/aws4_request";
        let authorization = header("authorization");
        assert!(authorization.contains(scope), "{authorization}");
        let body = sent.body().bytes().unwrap();
        assert_eq!(
            body,
            json!({ "ResourceARNList": [ARN] }).to_string().as_bytes()
        );
    }

    #[tokio::test]
    async fn what_is_refused_names_the_permission() {
        for (status, code, kind) in [
            (400, "AccessDeniedException", "denied"),
            (429, "ThrottledException", "later"),
            (500, "InternalServiceException", "later"),
            (400, "com.amazonaws#InvalidParameterException", "refused"),
        ] {
            let answer = json!({ "__type": code, "message": "no" }).to_string();
            let (aws, _) = aws(status, &answer);
            let failure = indexed_tags(&aws, &[ARN.to_owned()]).await.unwrap_err();
            let found = match &failure {
                Failure::Denied { permission, .. } if permission == "tag:GetResources" => "denied",
                Failure::Unavailable(why) if why.starts_with("tag:GetResources") => "later",
                Failure::Refused { code, .. } if code == "InvalidParameterException" => "refused",
                _ => "something else",
            };
            assert_eq!(found, kind, "{code}: {failure:?}");
        }
        let (aws, _) = aws(200, "no JSON");
        let failure = indexed_tags(&aws, &[ARN.to_owned()]).await.unwrap_err();
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
    }
}
