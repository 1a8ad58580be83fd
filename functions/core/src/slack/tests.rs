//! Messages as Slack gets them.

use super::*;

fn alert(n: usize, hostile: &str) -> Value {
    let findings: Vec<Value> = (0..n)
        .map(|_| {
            json!({ "rule": "mutable-tags", "severity": "medium", "status": "open", "detail": hostile, "advice": hostile })
        })
        .collect();
    json!({
        "schema": "ecr-warden.alert/1", "id": "1", "account": "123456789012", "region": "eu-central-1",
        "repository": "arn:aws:ecr:eu-central-1:123456789012:repository/shop/api", "cause": "CreateRepository",
        "actor": hostile, "occurred_at": "2026-11-23T08:00:00Z", "severity": "high", "findings": findings,
        "actions": [{ "action": "set-tag-mutability", "from": "MUTABLE", "to": hostile, "result": "done" }],
    })
}

/// Every text of a message with the limit of its place.
fn check(message: &Value) {
    let attachments = message["attachments"].as_array().unwrap();
    let inner = attachments
        .iter()
        .flat_map(|attachment| attachment["blocks"].as_array().unwrap());
    let blocks: Vec<&Value> = message["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .chain(inner)
        .collect();
    assert!((2..=50).contains(&blocks.len()), "{}", blocks.len());
    for block in blocks {
        let longest = if block["type"] == "header" { 150 } else { 3000 };
        let texts = [&block["text"], &block["elements"][0], &block["accessory"]];
        for object in texts
            .into_iter()
            .filter(|object| object["text"].is_string())
        {
            let text = object["text"].as_str().unwrap();
            assert!(
                (1..=longest).contains(&text.chars().count()),
                "{}",
                text.len()
            );
            assert!(!text.contains('<') && !text.contains('>'), "{text}");
            assert_eq!(object["type"], "plain_text");
            assert_eq!(object["emoji"], false);
        }
    }
    for fallback in [&message["text"], &attachments[0]["fallback"]] {
        let fallback = fallback.as_str().unwrap();
        assert!(!fallback.contains('<') && fallback.chars().count() <= 3000);
    }
}

fn alarm(state: &str) -> Value {
    json!({
        "AlarmName": "ecr-warden Errors/1", "AlarmDescription": "ecr-warden: the enforcer keeps failing. <!channel>",
        "AWSAccountId": "123456789012", "NewStateValue": state, "NewStateReason": "Threshold Crossed: 2 datapoints",
        "StateChangeTime": "2026-11-23T08:00:00.000+0000", "Region": "US East (N. Virginia)",
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:ecr-warden Errors/1",
    })
}

/// As people see it: signs, words and buttons, without Slack's escapes.
fn shown(message: &Value) -> String {
    let mut out = String::new();
    let mut blocks: Vec<&Value> = message["blocks"].as_array().unwrap().iter().collect();
    for attachment in message["attachments"].as_array().unwrap() {
        blocks.extend(attachment["blocks"].as_array().unwrap());
    }
    for block in blocks {
        for text in [&block["text"]["text"], &block["elements"][0]["text"]] {
            out.extend(text.as_str().map(|text| format!("{text}\n")));
        }
        for button in [&block["elements"][0], &block["accessory"]] {
            if let (Some(text), Some(url)) =
                (button["text"]["text"].as_str(), button["url"].as_str())
            {
                out.push_str(&format!("[{text}] {url}\n"));
            }
        }
    }
    out
}

#[test]
fn hostile_text_stays_text_and_within_the_limits() {
    for hostile in [
        "<!channel>",
        "<https://x|y> *b* & @here",
        &"<".repeat(5000),
        &"\u{1f512}".repeat(9000),
    ] {
        for (alerts, findings) in [(1, 1), (1, 100), (3, 50), (4, 1), (500, 2)] {
            let many: Vec<Value> = (0..alerts).map(|_| alert(findings, hostile)).collect();
            check(&message(&many));
        }
    }
    let shown = message(&[alert(1, "<!channel>")]).to_string();
    assert!(shown.contains("&lt;!channel&gt;"), "{shown}");
}

#[test]
fn it_says_what_was_wrong_who_and_where() {
    let shown = message(&[alert(1, "mary")]).to_string();
    for part in [
        "🔴 HIGH · 1 open: shop/api",
        "by mary",
        "set-tag-mutability: MUTABLE → mary",
        "https://eu-central-1.console.aws.amazon.com/ecr/repositories/private/123456789012/shop/api?region=eu-central-1",
        "#d1242f",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn alerts_come_in_many_envelopes() {
    let inner = alert(1, "x").to_string();
    let enveloped = json!({ "Message": inner }).to_string();
    let event = json!({ "Records": [
        { "eventSource": "aws:sqs", "body": inner },
        { "eventSource": "aws:sqs", "body": enveloped },
        { "EventSource": "aws:sns", "Sns": { "Message": inner } },
        { "body": "not JSON" },
        { "body": "{\"schema\":\"another\"}" },
        { "body": 7 },
    ] });
    let found = alerts(&event);
    assert_eq!(found.len(), 6, "nothing is left out");
    assert_eq!(found[3], "not JSON");
    check(&message(&found));
    for (unknown, part) in found
        .iter()
        .skip(3)
        .zip(["not JSON", "another", "{\"body\":7}"])
    {
        let shown = shown(&message(std::slice::from_ref(unknown)));
        let expected = format!("unknown message on the alert topic: {part}");
        assert!(
            shown.contains(&expected) || part == "another" && shown.contains(part),
            "{shown}"
        );
    }
    assert_eq!(alerts(&json!({})), Vec::<Value>::new());
    assert_eq!(alerts(&json!({ "Records": 5 })), Vec::<Value>::new());
}

#[test]
fn alarms_are_shown() {
    let event = json!({ "Records": [{ "body": alarm("ALARM").to_string() }] });
    let expected = "\
🔴 ALARM · ecr-warden Errors/1
CloudWatch alarm · account 123456789012, US East (N. Virginia) at 2026-11-23T08:00:00.000+0000
ecr-warden: the enforcer keeps failing. &lt;!channel&gt;
Why: Threshold Crossed: 2 datapoints
[Open the alarm] https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/ecr-warden%20Errors%2F1
";
    assert_eq!(shown(&message(&alerts(&event))), expected);
    for (state, sign, colour) in [
        ("ALARM", "🔴 ALARM", "#d1242f"),
        ("OK", "🟢 OK", "#1a7f37"),
        ("INSUFFICIENT_DATA", "⚪ INSUFFICIENT_DATA", "#6e7781"),
    ] {
        let message = message(&[alarm(state)]);
        check(&message);
        assert_eq!(message["attachments"][0]["color"], colour);
        assert!(message["text"].as_str().unwrap().starts_with(sign));
    }
    let mut elsewhere = alarm("OK");
    elsewhere["AlarmArn"] = json!("arn:aws:cloudwatch:evil.example/:1:alarm:x");
    assert!(!message(&[elsewhere]).to_string().contains("https://"));
}

#[test]
fn many_are_a_line_each() {
    let many = [
        alert(1, "x"),
        alert(2, "x"),
        alarm("OK"),
        json!("what?"),
        alert(6, "x"),
    ];
    let message = message(&many);
    check(&message);
    let shown = shown(&message);
    let console = "[Open] https://eu-central-1.console.aws.amazon.com/ecr/repositories/private/123456789012/shop/api?region=eu-central-1";
    for part in [
        "🔴 HIGH · 5 alerts\n",
        &format!("🔴 HIGH · mutable-tags open: shop/api · 123456789012, eu-central-1\n{console}\n"),
        "🟢 OK · ecr-warden Errors/1 · 123456789012, US East (N. Virginia)\n[Open] https://us-east-1",
        "⚪ UNKNOWN · unknown message on the alert topic: what?\n",
        "mutable-tags open, 2 more: shop/api",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_was_fixed_is_kept_and_not_to_do() {
    let mut fixed = alert(1, "set it where it is defined");
    fixed["findings"][0]["status"] = json!("fixed");
    let shown = shown(&message(&[fixed]));
    assert!(shown.contains("\nPrevent: set it where"), "{shown}");
    assert!(!shown.contains("To do"), "{shown}");
}

#[test]
fn a_failed_change_is_no_change() {
    let mut failed = alert(1, "x");
    failed["actions"][0]["result"] = json!("access denied");
    let shown = shown(&message(&[failed]));
    assert!(
        shown.contains("Not changed\nset-tag-mutability: MUTABLE → x (access denied)"),
        "{shown}"
    );
}

#[test]
fn a_policy_that_is_not_valid_is_said_to_be() {
    let origin = crate::trigger::Origin {
        occurred_at: "2026-11-23T08:00:00Z".to_owned(),
        ..crate::trigger::Origin::of(crate::trigger::Cause::Sweep)
    };
    for (wrong, headline) in [
        (
            Some("line 3: unknown rule `mutable-tag`"),
            "🔴 HIGH · The policy is not valid: /ecr-warden/policy",
        ),
        (
            None,
            "🔵 INFORMATIONAL · The policy is valid again: /ecr-warden/policy",
        ),
    ] {
        let alert = crate::alert::Alert::of_policy(
            "/ecr-warden/policy",
            "123456789012",
            "us-east-1",
            "1",
            &origin,
            wrong,
        );
        let message = message(&[serde_json::to_value(&alert).unwrap()]);
        check(&message);
        assert!(shown(&message).starts_with(headline), "{}", shown(&message));
    }
}

#[test]
fn a_sweep_says_what_was_changed_where() {
    let group = |status: &str, rule: &str, to_do: &str| {
        json!({
            "rule": rule, "severity": "medium", "status": status, "count": 100, "repositories": ["a", "b", "c"],
            "detail": "it is wrong", "to_do": to_do, "changes": [], "other_changes": 0,
        })
    };
    let sweep = json!({
        "schema": "ecr-warden.alert/1", "account": "123456789012", "region": "us-east-1", "severity": "medium",
        "repository": "arn:aws:ecr:us-east-1:123456789012:repository/*", "cause": "sweep", "omitted": 180,
        "occurred_at": "2026-11-23T08:00:00Z", "findings": [], "actions": [{
            "repository": "arn:aws:ecr:us-east-1:123456789012:repository/a", "action": "set-tags", "from": "team=none",
            "to": "team=unknown", "result": "done",
        }],
        "summary": {
            "repositories": 100, "findings": 200, "tally": { "fixed": 100, "open": 100 },
            "groups": [group("open", "weak-encryption", "mend it"), group("fixed", "missing-tags", "")],
        },
    });
    let expected = "\
🟠 MEDIUM · sweep: 200 findings in 100 repositories (100 open, 100 fixed)
account 123456789012, us-east-1 · sweep at 2026-11-23T08:00:00Z
100 OPEN weak-encryption (medium): a, b, c … and 97 more
it is wrong
To do: mend it
100 FIXED missing-tags (medium): a, b, c … and 97 more
it is wrong
Changed
a: team=none → team=unknown
and 99 more
`ecr-warden rollback REPOSITORY` lists what was changed in one; an audit lists what is open.
";
    let over = |sweep: &Value| {
        let mut sweep = sweep.clone();
        sweep["over_limit"] = json!("NOT CHANGED: too many");
        shown(&message(&[sweep]))
    };
    let line = over(&sweep);
    let line = line.lines().nth(2).unwrap();
    assert!(line.starts_with("NOT CHANGED: too many"), "{line}");
    let message = message(&[sweep]);
    check(&message);
    assert_eq!(shown(&message), expected);
}

#[test]
fn what_needs_people_comes_first() {
    let mut both = alert(2, "x");
    both["findings"][0]["status"] = json!("fixed");
    let shown = shown(&message(&[both]));
    let place = |part: &str| shown.find(part).unwrap();
    assert!(
        place("OPEN mutable-tags") < place("FIXED mutable-tags"),
        "{shown}"
    );
}

/// Who is mentioned is the policy's to say: ids in an alert, and no text.
#[test]
fn an_owner_is_mentioned_by_id_alone() {
    let alert = |mentions: Value, owner: &str| {
        json!({
            "schema": "ecr-warden.alert/1", "severity": "high", "account": "123456789012", "region": "eu-central-1",
            "cause": "PutImage", "repository": "arn:aws:ecr:eu-central-1:123456789012:repository/shop/api",
            "owners": [owner], "mentions": mentions, "findings": [], "actions": [],
        })
    };
    let mentions = |alerts: &[Value]| -> Vec<String> {
        let message = message(alerts);
        let blocks = message["blocks"].as_array().unwrap().iter();
        let markup = blocks.filter(|block| block["text"]["type"] == "mrkdwn");
        markup
            .map(|block| block["text"]["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let payments = alert(json!(["S0123ABCD"]), "payments");
    assert_eq!(
        mentions(std::slice::from_ref(&payments)),
        ["<!subteam^S0123ABCD>"]
    );
    let shop = alert(json!(["U0123ABCD", "S0123ABCD"]), "shop");
    let both = ["<!subteam^S0123ABCD> <@U0123ABCD>"];
    assert_eq!(mentions(&[payments.clone(), shop.clone()]), both);
    let many = vec![payments, shop.clone(), shop.clone(), shop.clone(), shop];
    assert_eq!(mentions(&many), both, "also where each is one line");
    for forged in [
        json!("S0123ABCD"),
        json!(["!channel", "<!here>", "S0123ABCD> <!channel", 5, "payments"]),
        json!([]),
    ] {
        let forged = alert(forged, "<!channel>");
        assert_eq!(
            mentions(std::slice::from_ref(&forged)),
            Vec::<String>::new()
        );
        assert!(shown(&message(&[forged])).contains("owned by &lt;!channel&gt;"));
    }
}
