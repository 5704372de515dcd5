use super::{Archive, FILES_MAX, Refused, hash_of_folder, unpack};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs::{self, File, Permissions},
    io::{Cursor, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};
use tar::{EntryType, Header};
use zip::{ZipWriter, write::SimpleFileOptions};

type Entry<'a> = (&'a [u8], EntryType, &'a [u8]);

fn file<'a>(path: &'a str, text: &'a str) -> Entry<'a> {
    (path.as_bytes(), EntryType::Regular, text.as_bytes())
}

/// Written block by block: a builder would refuse most of these names.
fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn tar_gz(entries: &[Entry<'_>]) -> Vec<u8> {
    gzip(&tar(entries))
}

fn zip(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, mode, text) in entries {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        if *mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*path, *text, options).unwrap();
        } else {
            zip.start_file(*path, options).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let error = Archive::of_bytes(bytes)
        .expect_err("the archive is refused")
        .to_string();
    assert!(error.contains(expected), "found    {error}\nexpected {expected}");
}

#[track_caller]
fn refused_among_others(entries: &[Entry<'_>], expected: &str) {
    let mut all = vec![file("pack.yaml", "{ref: demo}")];
    all.extend_from_slice(entries);
    refused(&tar_gz(&all), expected);
}

#[test]
fn what_is_not_a_regular_file_is_named() {
    for (kind, expected) in [
        (EntryType::Symlink, "lib/x: is a symbolic link"),
        (EntryType::Link, "lib/x: is a hard link"),
        (EntryType::Char, "lib/x: is a device"),
        (EntryType::Block, "lib/x: is a device"),
        (EntryType::Fifo, "lib/x: is a named pipe"),
        // Its header names no size.
        (EntryType::GNUSparse, "the .tar.gz archive is damaged"),
    ] {
        refused_among_others(&[(b"lib/x", kind, b"")], expected);
    }
    let link = [("pack.yaml", 0o644, "{ref: demo}"), ("lib/x", 0o120_777, "/etc/passwd")];
    refused(&zip(&link), "lib/x: is a symbolic link");
}

#[test]
fn paths_that_leave_the_pack_are_named() {
    refused_among_others(&[file("/etc/x", "")], "/etc/x: the path is absolute");
    refused_among_others(&[file("lib/../../x", "")], "lib/../../x: the path contains `..`");
    refused_among_others(&[file("lib\\x", "")], "the name contains a backslash");
    refused_among_others(&[file("lib/\u{1}", "")], "a control character");
    refused_among_others(&[(b"lib/\xff", EntryType::Regular, b"")], "is not UTF-8");
    // Also in what no pack contains.
    refused_among_others(&[file(".git/../../x", "")], "contains `..`");
    refused_among_others(&[(b".git/x", EntryType::Symlink, b"")], ".git/x: is a symbolic link");
    for path in ["/etc/x", "lib/../../x"] {
        refused(&zip(&[("pack.yaml", 0o644, "{ref: demo}"), (path, 0o644, "")]), path);
    }
}

#[test]
fn paths_that_are_not_the_same_everywhere_are_named() {
    let twice = [file("lib/x", "1"), file("./lib/x", "2")];
    refused_among_others(&twice, "lib/x: is in the archive twice");
    refused_among_others(
        &[file("lib/X", "1"), file("lib/x", "2")],
        "lib/x: differs from lib/X only in upper and lower case",
    );
    refused_among_others(
        &[file("Lib/y", "1"), file("lib/x", "2")],
        "lib/x: differs from Lib only in upper and lower case",
    );
    refused_among_others(
        &[file("lib", "1"), file("lib/x", "2")],
        "lib: is both a file and a folder",
    );
    refused_among_others(
        &[file("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", "")],
        "the path is deeper than 16 folders",
    );
    let mut doubled = zip(&[
        ("pack.yaml", 0o644, "{ref: demo}"),
        ("lib/x", 0o644, "1"),
        ("lib/y", 0o644, "2"),
    ]);
    let from: Vec<usize> = (0..doubled.len() - 5)
        .filter(|at| &doubled[*at..*at + 5] == b"lib/y")
        .collect();
    for at in from {
        doubled[at + 4] = b'x';
    }
    refused(&doubled, "3 entries with only 2 different names");
}

#[test]
fn a_name_of_more_than_255_bytes_is_named() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, "x".repeat(256), &b""[..]).unwrap();
    refused(&gzip(&builder.into_inner().unwrap()), "a name is longer than 255 bytes");
}

#[test]
fn too_many_files_are_refused() {
    let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("f/{n}")).collect();
    let entries: Vec<Entry<'_>> = names.iter().map(|name| file(name, "")).collect();
    refused(&tar_gz(&entries), "more than 10000 files");
    assert_eq!(
        Archive::of_bytes(&tar_gz(&entries[1..])).unwrap().files.len(),
        FILES_MAX
    );
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), 0o644, "")).collect();
    refused(&zip(&entries), "more than 10000 files");
}

/// A thousandth of what it unpacks to: the size in its header is true, the bytes come from many compressed parts.
fn bomb(path: &[u8]) -> Vec<u8> {
    const MIB: usize = 1 << 20;
    const SIZE: usize = 200;
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size((SIZE * MIB) as u64);
    header.set_cksum();
    let mut bytes = gzip(header.as_bytes());
    let part = gzip(&vec![0; MIB]);
    for _ in 0..SIZE {
        bytes.extend_from_slice(&part);
    }
    bytes
}

#[test]
fn a_bomb_is_refused_while_it_unpacks() {
    let expected = "the files of the pack have more than 134217728 bytes together";
    refused(&bomb(b"lib/zeros"), expected);
    // A file that no pack contains is unpacked as well, to skip it.
    refused(&bomb(b".git/zeros"), expected);
}

#[test]
fn damaged_archives_are_refused() {
    let good = tar_gz(&[file("pack.yaml", "{ref: demo}"), file("lib/x", "text")]);
    refused(&good[..good.len() / 2], "the .tar.gz archive is damaged or incomplete");
    refused(&good[..good.len() - 4], "the .tar.gz archive is damaged or incomplete");
    let good = zip(&[("pack.yaml", 0o644, "{ref: demo}")]);
    refused(&good[..good.len() / 2], "the .zip archive is damaged");
    refused(b"{}", "neither a .tar.gz nor a .zip archive");
    refused(b"", "neither a .tar.gz nor a .zip archive");
}

fn write(folder: &Path, files: &[(&str, &str, u32)], age: u64) {
    for (path, text, mode) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        let file = File::open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age))
            .unwrap();
    }
}

const FILES: [(&str, &str, u32); 5] = [
    ("pack.yaml", "{ref: demo}", 0o644),
    ("actions/hello.sh", "echo hi", 0o755),
    ("actions-more/x", "", 0o600),
    ("actions.txt", "", 0o640),
    (
        "lib/a long name, far longer than the hundred bytes for which the oldest kind of header has room inside of it.txt",
        "1",
        0o644,
    ),
];

#[test]
fn the_same_files_have_the_same_hash_however_they_come() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    write(one.path(), &FILES, 0);
    let mut reversed = FILES;
    reversed.reverse();
    write(other.path(), &reversed, 86_400);
    write(
        other.path(),
        &[(".git/config", "x", 0o644), ("lib/__pycache__/x.pyc", "x", 0o644)],
        0,
    );
    let archives = [one.path(), other.path()].map(|folder| Archive::of_folder(folder).unwrap());
    assert_eq!(archives[0], archives[1]);
    let packed = archives[0].pack().unwrap();
    assert_eq!(packed.hash, archives[1].pack().unwrap().hash);
    assert_eq!(packed.content, archives[1].pack().unwrap().content);
    assert_eq!(hash_of_folder(one.path()).unwrap(), packed.hash);

    // Packed by others: another order, a folder around it.
    let inside: Vec<(String, &str)> = reversed
        .iter()
        .map(|(path, text, _)| (format!("demo-1.0/{path}"), *text))
        .collect();
    let entries: Vec<_> = inside
        .iter()
        .map(|(path, text)| (path.as_str(), 0o644, *text))
        .collect();
    let mut zipped = Archive::of_bytes(&zip(&entries)).unwrap();
    assert_ne!(zipped.pack().unwrap().hash, packed.hash, "the mode counts");
    zipped.files.get_mut("actions/hello.sh").unwrap().executable = true;
    assert_eq!(zipped.pack().unwrap().hash, packed.hash);
    assert_eq!(Archive::of_bytes(&packed.content).unwrap(), archives[0]);

    // Unpacked by a worker.
    let place = tempfile::tempdir().unwrap();
    let into = place.path().join("x");
    fs::create_dir(&into).unwrap();
    assert_eq!(unpack(&packed.content, &packed.hash, &into).unwrap(), 19);
    assert_eq!(hash_of_folder(&into).unwrap(), packed.hash);
    let mode = |path: &str| fs::metadata(into.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("actions/hello.sh"), mode("pack.yaml"), mode("actions")),
        (0o555, 0o444, 0o555)
    );
}

#[test]
fn content_with_another_hash_is_not_unpacked() {
    let archive = Archive::of_bytes(&tar_gz(&[file("pack.yaml", "{ref: demo}")])).unwrap();
    let packed = archive.pack().unwrap();
    let into = tempfile::tempdir().unwrap();
    let error = unpack(&packed.content, &"0".repeat(64), into.path()).unwrap_err();
    assert!(error.to_string().contains("instead of 000"), "{error}");
    let cut = &packed.content[..packed.content.len() - 9];
    let into = tempfile::tempdir().unwrap();
    assert!(matches!(
        unpack(cut, &packed.hash, into.path()),
        Err(Refused::Malformed(_))
    ));
}

#[test]
fn links_in_folders_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &FILES, 0);
    symlink("/etc/passwd", folder.path().join("lib/link")).unwrap();
    let error = Archive::of_folder(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("lib/link: is a symbolic link"), "{error}");
}
