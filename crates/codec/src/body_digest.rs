//! What binds an idempotency key to a request.

use domain::member::{Allowance, Command, Holding, PlayReport, Target};
use minicbor::Encoder;
use ring::digest::{SHA256, digest};

use crate::event::never;

/// SHA-256 over what the caller asked for: the commands in their order, without facts, times and
/// generated ids, which a retry may bring anew.
///
/// The digest is stored with the accepted commands and compared with that of a retry, perhaps by
/// another release: what is written here must not change while such keys are remembered.
pub fn body_digest(commands: &[Command]) -> [u8; 32] {
    let mut out = Encoder::new(Vec::with_capacity(128));
    let mut put = || {
        out.str("carnet request 1")?.array(commands.len() as u64)?;
        commands.iter().try_for_each(|command| put(&mut out, command))
    };
    match put() {
        Ok(()) => {}
        Err(error) => never(&error),
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, out.writer()).as_ref());
    bytes
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// An array for each command: its number, then what it says.
#[expect(clippy::too_many_lines, reason = "one match over the commands")]
fn put(out: &mut Encoder<Vec<u8>>, command: &Command) -> Written {
    match command {
        Command::RegisterDevice { device, class, key, name } => {
            out.array(5)?.u8(0)?.str(device.as_str())?;
            out.str(class.name())?.str(key.as_str())?.str(name)?;
        }
        Command::RemoveDevice { device } => {
            out.array(2)?.u8(1)?.str(device.as_str())?;
        }
        Command::Acquire { device, title, title_facts: _, license: _ } => {
            out.array(3)?.u8(2)?.str(device.as_str())?.str(title.as_str())?;
        }
        Command::Renew { device, license, term, title_facts: _, automatic } => {
            out.array(4 + u64::from(*automatic))?.u8(3)?;
            out.str(device.as_str())?.str(license.as_str())?.u32(*term)?;
            if *automatic {
                out.bool(true)?;
            }
        }
        Command::Release { by, license } => {
            out.array(3)?.u8(4)?;
            match by {
                Some(device) => out.str(device.as_str())?,
                None => out.null()?,
            };
            out.str(license.as_str())?;
        }
        Command::CheckIn { device, holdings } => {
            out.array(3)?.u8(5)?.str(device.as_str())?.array(holdings.len() as u64)?;
            for Holding { license, started } in holdings {
                out.array(2)?.str(license.as_str())?.bool(*started)?;
            }
        }
        Command::RecordPlays { device, sequences, plays } => {
            out.array(4)?.u8(6)?.str(device.as_str())?.encode(sequences)?;
            out.array(plays.len() as u64)?;
            for PlayReport { sequence, license, term, occurred_at: _, device_at: _ } in plays {
                out.array(3)?.u64(*sequence)?.str(license.as_str())?.u32(*term)?;
            }
        }
        Command::DrmFailed { license, term } => {
            out.array(3)?.u8(7)?.str(license.as_str())?.u32(*term)?;
        }
        Command::ChangeMember => {
            out.array(1)?.u8(8)?;
        }
        Command::LapseMembership => {
            out.array(1)?.u8(9)?;
        }
        Command::ResumeMembership { warrant: None } => {
            out.array(1)?.u8(10)?;
        }
        Command::ResumeMembership { warrant: Some(warrant) } => {
            out.array(3)?.u8(10)?.str(&warrant.actor)?.str(&warrant.reason)?;
        }
        Command::Revoke { target, warrant } => {
            let (kind, id) = match target {
                Target::License(license) => ("license", license.as_str()),
                Target::Device(device) => ("device", device.as_str()),
                Target::Member => ("member", ""),
            };
            out.array(5)?.u8(11)?.str(kind)?.str(id)?;
            out.str(&warrant.actor)?.str(&warrant.reason)?;
        }
        Command::WithdrawTitle { title } => {
            out.array(2)?.u8(12)?.str(title.as_str())?;
        }
        Command::GrantException { exception: _, allowance, warrant } => {
            let Allowance { rule, amount, until } = allowance;
            out.array(6)?.u8(13)?.str(rule.as_str())?.u32(*amount)?.i64(until.as_millis())?;
            out.str(&warrant.actor)?.str(&warrant.reason)?;
        }
        Command::EndException { exception, warrant } => {
            out.array(4)?.u8(14)?.str(exception.as_str())?;
            out.str(&warrant.actor)?.str(&warrant.reason)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
