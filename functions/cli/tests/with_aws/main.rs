//! What the command does with an AWS that answers as a test wants it to.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod answering;
mod credentials;
mod doctor;
mod elsewhere;
mod exempt;
mod fix;
mod init;
mod network;
mod registry;
mod terminal;
mod transcripts;
