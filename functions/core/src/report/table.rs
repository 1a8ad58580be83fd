//! An audit as CSV.

use crate::audit::Audit;

/// One line a finding. What a spreadsheet would take for a formula stays text.
#[must_use]
pub fn csv(audit: &Audit) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    let header = [
        "repository",
        "rule",
        "severity",
        "status",
        "detail",
        "to do",
    ];
    // Writing to memory does not fail.
    let _ = out.write_record(header);
    for finding in audit.findings.iter().flatten() {
        let fields = [
            finding.repository.as_str(),
            &finding.rule,
            finding.severity.name(),
            finding.status.name(),
            &finding.detail,
            &finding.to_do,
        ];
        let _ = out.write_record(fields.map(text));
    }
    let bytes = out.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// A cell that begins so is a formula to spreadsheets (OWASP, "CSV Injection"), in East Asian settings the full-width ones, too.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

fn text(cell: &str) -> String {
    if cell.starts_with(FORMULA) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}
