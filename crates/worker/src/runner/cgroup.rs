//! Ends everything in a control group (cgroup v2) at once: no process can fork its way out.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// SIGKILL is final, but a process may wait in the kernel longer than anybody should wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Kills all processes in the group and in the groups below it, and waits until they are gone. A group that does not exist
/// is empty. Blocks.
pub fn kill(group: &Path) -> io::Result<()> {
    match fs::write(group.join("cgroup.kill"), "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !group.exists() => return Ok(()),
        written => written?,
    }
    let since = Instant::now();
    while is_populated(group)? {
        if since.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("processes in {} survived SIGKILL", group.display()),
            ));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn is_populated(group: &Path) -> io::Result<bool> {
    match fs::read_to_string(group.join("cgroup.events")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        events => Ok(events?.lines().any(|line| line == "populated 1")),
    }
}
