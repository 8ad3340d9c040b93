//! A VM's screen by VNC: its password, and the two files that tell where it is and how to get in.

use std::io::Read;

use serde_json::json;

use super::Error;
use crate::driver::qmp::Monitor;
use crate::home::{self, InstanceDir};

/// What QEMU takes of a VNC password.
const PASSWORD_LENGTH: usize = 8;
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8; 10] = b"0123456789";
/// VNC's displays are counted from this port.
const FIRST_PORT: u32 = 5900;

/// Sets a password and writes `vncdisplay` and `vncpassword`, readable by the user alone. `display` is what QEMU was told: `host:number,options`.
pub(super) async fn publish(monitor: &Monitor, dir: &InstanceDir, display: &str) -> Result<(), Error> {
    let password = password().map_err(Error::NoRandomness)?;
    monitor.execute("change-vnc-password", json!({ "password": password })).await.map_err(Error::Screen)?;
    let mut place = display.split(',').next().unwrap_or_default().to_owned();
    // It may have taken another number than the first.
    if display.split(',').any(|option| option.starts_with("to=")) {
        let answer = monitor.execute("query-vnc", serde_json::Value::Null).await.map_err(Error::Screen)?;
        if let Some(number) = display_number(&answer) {
            let host = place.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
            place = format!("{host}:{number}");
        }
    }
    home::write_atomic(&dir.vnc_password(), password.as_bytes(), 0o600)?;
    home::write_atomic(&dir.vnc_display(), place.as_bytes(), 0o600)?;
    tracing::info!("VNC display: `{place}`, its password is in `{}`", dir.vnc_password().display());
    Ok(())
}

/// Removes both files: the VM is gone.
pub(super) fn remove(dir: &InstanceDir) {
    for path in [dir.vnc_display(), dir.vnc_password()] {
        // Of no use to anybody, and no harm: the next start writes them anew.
        let _ = home::remove_if_present(&path);
    }
}

fn display_number(answer: &serde_json::Value) -> Option<u32> {
    let port: u32 = answer["service"].as_str()?.parse().ok()?;
    port.checked_sub(FIRST_PORT)
}

/// Six letters and two digits in an order of chance.
fn password() -> std::io::Result<String> {
    let mut random = std::fs::File::open("/dev/urandom")?;
    let mut draw = move |below: usize| -> std::io::Result<usize> {
        loop {
            let mut byte = [0];
            random.read_exact(&mut byte)?;
            // What would make the first ones likelier is drawn again.
            if usize::from(byte[0]) < 256 / below * below {
                return Ok(usize::from(byte[0]) % below);
            }
        }
    };
    let mut word = Vec::with_capacity(PASSWORD_LENGTH);
    for place in 0..PASSWORD_LENGTH {
        let sort: &[u8] = if place < PASSWORD_LENGTH / 4 { DIGITS } else { LETTERS };
        let next = sort[draw(sort.len())?];
        word.insert(draw(place + 1)?, char::from(next));
    }
    Ok(word.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_two_digits_no_signs_and_is_not_the_last_one() {
        let words = [password().unwrap(), password().unwrap()];
        for word in &words {
            assert_eq!(word.len(), PASSWORD_LENGTH);
            assert_eq!(word.bytes().filter(u8::is_ascii_digit).count(), 2, "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{word}");
        }
        assert_ne!(words[0], words[1]);
    }

    #[test]
    fn the_number_of_the_display_is_told_by_its_port() {
        assert_eq!(display_number(&json!({ "host": "127.0.0.1", "service": "5903" })), Some(3));
        assert_eq!(display_number(&json!({ "enabled": false })), None);
    }
}
