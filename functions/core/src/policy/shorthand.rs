//! How a rule is written without settings, and what is none.

use crate::yaml::document::{Content, Node};

/// What to write in the place of something that is neither settings nor a mode.
pub(super) fn no_settings(id: &str, content: &Content) -> Option<String> {
    let instead = "write `{}` for its defaults, or `off`";
    Some(match content {
        Content::Null => format!("`{id}` has no settings: {instead}"),
        Content::Bool(false) => format!(
            "`{id}` is `false`: write `off`. Tools of YAML 1.1 turn `off` into `false`; `\"off\"` survives them"
        ),
        Content::Bool(true) => format!("`{id}` is `true`: write `{{}}` for its defaults"),
        Content::Integer(_) | Content::Float(_) | Content::List(_) => {
            format!("`{id}` has no settings by name: {instead}")
        }
        Content::Text(_) | Content::Mapping(_) => return None,
    })
}

/// `rule: off` is short for `rule: { mode: off }`.
pub(super) fn written_out(block: &Node) -> Node {
    let Content::Text(mode) = &block.content else {
        return block.clone();
    };
    let at = |content| Node {
        place: block.place,
        content,
    };
    let mode = at(Content::Text(mode.clone()));
    at(Content::Mapping(vec![(
        block.place,
        "mode".to_owned(),
        mode,
    )]))
}
