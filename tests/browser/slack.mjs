// A page that shows a message as Slack does: the blocks that ecr-warden uses (Slack's Block Kit reference), all of them plain text.

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
// The browser of the tests has no font with these.
const drawn = { "🔴": "dot red", "🟠": "dot orange", "🟡": "dot yellow", "🔵": "dot blue", "🟢": "dot green", "⚪": "dot grey", "→": "arrow" };
const glyph = (character) => `<span class="${drawn[character]}">${character}</span>`;
// In a message, Slack has only these three escapes (Slack, "Formatting text for app surfaces").
const shown = (text) =>
  escaped(text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")).replace(/🔴|🟠|🟡|🔵|🟢|⚪|→/gu, glyph);
const button = (element) => `<span class="button">${shown(element.text.text)}</span>`;

const blocks = {
  header: (block) => `<h3>${shown(block.text.text)}</h3>`,
  section: (block) => `<div class="section"><p>${shown(block.text.text)}</p>${block.accessory ? button(block.accessory) : ""}</div>`,
  context: (block) => `<p class="context">${block.elements.map((element) => shown(element.text)).join(" ")}</p>`,
  actions: (block) => `<p>${block.elements.map(button).join(" ")}</p>`,
  divider: () => "<hr>",
};

function written(block) {
  const write = blocks[block.type];
  if (!write) throw new Error(`Slack's block ${block.type} has no picture here`);
  return write(block);
}

export function slackPage(message) {
  const attachments = message.attachments.map(
    (attachment) => `<div class="attachment" style="border-color: ${attachment.color}">${attachment.blocks.map(written).join("")}</div>`,
  );
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; padding: 16px 20px; font: 15px/1.46 "Open Sans", Lato, sans-serif; color: #1d1c1d; background: #fff; display: flex; gap: 10px; width: 680px; }
    .sender { width: 36px; height: 36px; border-radius: 6px; background: #2f6fb5; color: #fff; font-weight: 700; display: grid; place-items: center; flex: none; }
    .app { font-size: 10px; background: #e8e8e8; color: #616061; border-radius: 2px; padding: 1px 3px; margin-left: 6px; font-weight: 700; }
    h3 { font-size: 17px; margin: 4px 0 8px; }
    p { margin: 4px 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    .attachment { border-left: 4px solid; padding: 2px 0 2px 12px; }
    .section { display: flex; justify-content: space-between; gap: 16px; }
    .context { font-size: 13px; color: #616061; }
    .dot, .arrow { font-size: 0; }
    .dot::before { content: ""; display: inline-block; width: 15px; height: 15px; border-radius: 50%; vertical-align: -2px; background: currentColor; }
    .red { color: #dd2e44; } .orange { color: #f4900c; } .yellow { color: #fdcb58; } .blue { color: #55acee; } .green { color: #78b159; } .grey { color: #ccd6dd; }
    .arrow::before { content: "->"; font-size: 15px; }
    .button { border: 1px solid #bbb; border-radius: 4px; padding: 3px 10px; font-weight: 700; font-size: 13px; white-space: nowrap; align-self: flex-start; }
  </style><div class="sender">ew</div><div><b>ecr-warden</b><span class="app">APP</span>
  ${message.blocks.map(written).join("")}${attachments.join("")}</div>`;
}
