//! A server out of `.venv` that ends with whoever started it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Problem;
use crate::local_aws::root;

/// They take about two seconds; a loaded machine takes longer.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// It ends when this is dropped, and when the process ends in whichever way.
#[derive(Debug)]
pub(crate) struct Server {
    keeper: Child,
    folder: PathBuf,
    pub(crate) pid: u32,
}

impl Server {
    /// Starts a program of `.venv` in a folder of its own.
    pub(crate) fn start(
        port: u16,
        program: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self, Problem> {
        let folder = root()
            .join("target/local-aws")
            .join(format!("{}-{port}", std::process::id()));
        let installed = root().join(".venv/bin");
        let program = installed.join(program);
        if !program.exists() {
            return Err(format!(
                "there is no {}: run `make package` first",
                program.display()
            )
            .into());
        }
        let mut command = Command::new(installed.join("python"));
        command
            .arg(root().join("tests/run_local_aws.py"))
            .args([&folder, &program])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([("HOME", &folder), ("TMPDIR", &folder)])
            .env("STATE_DIR", folder.join("state"))
            .env("S3_DATA_DIR", folder.join("s3"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        prepare(&mut command);
        let mut keeper = command.spawn()?;
        let mut pid = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout).read_line(&mut pid)?;
        }
        Ok(Self {
            keeper,
            folder,
            pid: pid.trim().parse()?,
        })
    }

    pub(crate) fn wait_until(&self, is_ready: impl Fn() -> bool) -> Result<(), Problem> {
        let give_up = Instant::now() + STARTS_WITHIN;
        while Instant::now() < give_up {
            if is_ready() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("it does not start: {}", self.log_end()).into())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub(crate) fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(40)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The keeper ends the program when its standard input closes.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

pub(crate) fn free_port() -> Result<u16, Problem> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
