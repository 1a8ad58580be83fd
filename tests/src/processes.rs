//! Which function a call comes from, and its end.

/// Kills the function whose end of a connection has this port. Only children of the local AWS are looked at. A function works on
/// one event at a time, and while it waits for an answer that is the event that the call is about.
pub(crate) fn kill_owner_of(port: u16, to: u16, parent: u32) {
    let (Some(socket), Ok(processes)) = (socket_of(port, to), std::fs::read_dir("/proc")) else {
        return;
    };
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if parent_of(pid) == Some(parent) && has_open(pid, &socket) {
            let _ = std::process::Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status();
            return;
        }
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("PPid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The end of a connection that goes from this port to that one, as the list of a process's open files names it. Connections
/// to others may go from the same port.
fn socket_of(port: u16, to: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let ends = format!(": 0100007F:{port:04X} 0100007F:{to:04X} ");
    let line = table.lines().find(|line| line.contains(&ends))?;
    let inode = line.split_whitespace().nth(9)?;
    Some(format!("socket:[{inode}]"))
}

fn has_open(pid: u32, socket: &str) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    files
        .flatten()
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link.to_str() == Some(socket)))
}
