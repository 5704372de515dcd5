//! Queries about processes: which exist, and which process started which.

use nix::unistd::Pid;
use std::fs;

/// Whether the process runs; a zombie has ended.
pub fn exists(pid: Pid) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

/// All descendants of a process.
pub fn descendants(of: Pid) -> Vec<Pid> {
    let all: Vec<(Pid, Pid)> = processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The processes whose command line contains this text.
pub fn with_command(text: &str) -> Vec<Pid> {
    processes()
        .filter(|pid| exists(*pid) && command_line(*pid).contains(text))
        .collect()
}

/// Whether its command line begins with this name.
pub fn is_called(pid: Pid, name: &str) -> bool {
    command_line(pid).starts_with(name)
}

/// The pids that an action has written into a file, one per line.
pub fn pids_in(file: &std::path::Path) -> Vec<Pid> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().parse().ok())
        .map(Pid::from_raw)
        .collect()
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").expect("processes can be listed");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
}

fn command_line(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn parent(pid: Pid) -> Option<Pid> {
    Some(Pid::from_raw(stat(pid)?[1].parse().ok()?))
}

/// The fields of `/proc/…/stat`, starting with the state.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}
