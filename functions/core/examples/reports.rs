//! Writes the HTML report of 5 and of 5,000 repositories, each with its audit as JSON, into a folder: for tests in a browser.

#![expect(clippy::unwrap_used, reason = "the sample is of the tests")]

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::path::PathBuf;

use ecr_warden_core::report::{html, json};

#[expect(clippy::disallowed_methods, reason = "an example is not the core")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give a folder")?);
    std::fs::create_dir_all(&folder)?;
    for repositories in [5, 5000] {
        let audit = sample::audit(repositories);
        let page = html(&audit, "2026-11-23 09:00 UTC")?;
        std::fs::write(folder.join(format!("{repositories}.html")), page)?;
        std::fs::write(folder.join(format!("{repositories}.json")), json(&audit))?;
    }
    Ok(())
}
