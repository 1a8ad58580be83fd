//! moto's server, for what ministack lacks of ECR: exclusion filters, the registry's scanning configuration, validation.

use std::net::TcpStream;

use crate::Problem;
use crate::clients::Clients;
use crate::server::{Server, free_port};

/// It runs no functions and knows no IAM. It ends when this is dropped.
#[derive(Debug)]
pub struct Moto {
    server: Server,
    pub port: u16,
}

impl Moto {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// It does not start; the end of its log is part of the error.
    pub fn start() -> Result<Self, Problem> {
        let port = free_port()?;
        let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()];
        let server = Server::start(port, "moto_server", &arguments, |_| {})?;
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(Self { server, port })
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[must_use]
    pub fn clients(&self) -> Clients {
        Clients::new(&self.endpoint())
    }

    /// The end of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        self.server.log_end()
    }
}
