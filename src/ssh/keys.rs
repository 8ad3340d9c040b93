//! Keys: the pair of `LIMA_HOME`, made when it is first needed, and the user's own.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Error;
use crate::document::base64_value;
use crate::home::{self, Home};
use crate::process;

/// Making a key takes milliseconds; whoever holds the lock longer is stuck.
const KEYGEN_DEADLINE: Duration = Duration::from_secs(30);

/// Makes the key pair `_config/user` unless it exists. Two that do this at once make one key: `_config` is locked meanwhile.
pub fn ensure_identity(home: &Home) -> Result<(), Error> {
    let path = home.identity();
    if path.exists() {
        return Ok(());
    }
    home.prepare()?;
    let _lock = lock_directory(&home.config_dir())?;
    if path.exists() {
        return Ok(());
    }
    let mut command = Command::new("ssh-keygen");
    command.args(["-t", "ed25519", "-q", "-N", "", "-C", "lima", "-f"]);
    command.arg(&path);
    match process::run_checked(&mut command, b"", KEYGEN_DEADLINE) {
        Ok(_) => Ok(()),
        Err(process::Error::NotFound { program }) => Err(Error::Missing { program }),
        Err(source) => Err(Error::Keygen { path, source }),
    }
}

/// A lock on the directory itself, as the real program takes it; it ends with the returned file.
fn lock_directory(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::KeyLock { path: path.to_path_buf(), source };
    let directory = File::open(path).map_err(failed)?;
    let end = Instant::now() + KEYGEN_DEADLINE;
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::KeyLockHeld {
                    path: path.to_path_buf(),
                    seconds: KEYGEN_DEADLINE.as_secs(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// The public keys that the guest's user accepts, each on one line: ours, which is made if need be, then those of `dot_ssh` (`~/.ssh`; `None`
/// unless `ssh.loadDotSSHPubKeys`). A file there that holds no single key is warned about and skipped.
pub fn public_keys(home: &Home, dot_ssh: Option<&Path>) -> Result<Vec<String>, Error> {
    ensure_identity(home)?;
    let own = home::read_text(&home.identity().with_extension("pub"))?;
    let mut keys = vec![own.trim().to_owned()];
    for path in dot_ssh.map(public_key_files).unwrap_or_default() {
        let text = home::read_text(&path)?;
        match check_public_key(&text) {
            Some(key) => keys.push(key.to_owned()),
            None => tracing::warn!("public key `{}` does not seem to be in ssh format", path.display()),
        }
    }
    Ok(keys)
}

/// The user's private keys that have a public one beside them, in name order.
pub fn dot_ssh_identities(dot_ssh: &Path) -> Vec<PathBuf> {
    let files = public_key_files(dot_ssh).into_iter();
    files.map(|path| path.with_extension("")).filter(|private| private.exists()).collect()
}

fn public_key_files(dot_ssh: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dot_ssh) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "pub"))
        .collect();
    files.sort();
    files
}

/// The key, if the text is one line `ALGORITHM BASE64 [COMMENT]` whose data name the same algorithm.
fn check_public_key(text: &str) -> Option<&str> {
    let key = text.trim();
    if key.contains('\n') {
        return None;
    }
    let mut fields = key.split_whitespace();
    let (algorithm, data) = (fields.next()?, fields.next()?);
    // RFC 4253 section 6.6: the data begin with a 4-byte length and the algorithm's name.
    let bytes = base64_prefix(data, 4 + algorithm.len())?;
    let length = u32::from_be_bytes(bytes[..4].try_into().ok()?) as usize;
    (length == algorithm.len() && &bytes[4..] == algorithm.as_bytes()).then_some(key)
}

/// The first `count` bytes of base64 text.
fn base64_prefix(text: &str, count: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count + 3);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for &letter in group {
            bits = bits << 6 | u32::from(base64_value(letter)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
        if bytes.len() >= count {
            bytes.truncate(count);
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdPfOTY2R5vA6B6Pqc3tPtWZ6ZsmPtrYw0CwWzvMhTa somebody";

    #[test]
    fn the_pair_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        let keys = public_keys(&home, None).unwrap();
        assert!(keys[0].starts_with("ssh-ed25519 ") && keys[0].ends_with(" lima"), "{keys:?}");
        assert_eq!(public_keys(&home, None).unwrap(), keys);
        let mode = home.identity().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(home.config_dir().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn two_that_need_the_first_key_at_once_get_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let home = Home::new(temp.path().join("lh"));
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| public_keys(&home, None).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| k == &keys[0]));
    }

    #[test]
    fn only_real_keys_of_the_user_are_taken() {
        let temp = tempfile::tempdir().unwrap();
        let (home, dot_ssh) = (Home::new(temp.path().join("lh")), temp.path().join(".ssh"));
        std::fs::create_dir(&dot_ssh).unwrap();
        std::fs::write(dot_ssh.join("good.pub"), format!("{KEY}\n")).unwrap();
        std::fs::write(dot_ssh.join("good"), "private").unwrap();
        std::fs::write(dot_ssh.join("two.pub"), format!("{KEY}\n{KEY}\n")).unwrap();
        std::fs::write(dot_ssh.join("liar.pub"), KEY.replace("ed25519 ", "rsa ")).unwrap();
        assert_eq!(public_keys(&home, Some(&dot_ssh)).unwrap()[1..], [KEY]);
        assert_eq!(dot_ssh_identities(&dot_ssh), [dot_ssh.join("good")]);
        assert!(dot_ssh_identities(&temp.path().join("absent")).is_empty());
    }
}
