//! Reaching the instance: which address, which key.

use crate::ebs::{KeyPair, Work, describe};
use crate::images::text;
use aws_sdk_ec2::types::Instance;
use image_action_engine::{Communicator, Error, ErrorKind, Facts, Result};
use image_action_lang::Value;
use image_action_remote::{Machine, PrivateKey, reach};
use std::sync::Arc;
use std::time::Duration;

/// How many looks an instance without a public address gets before its private one is taken.
const PUBLIC_LOOKS: u32 = 3;

/// The pause between two such looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Waits until the instance lets us in; `facts` then know how it is reached.
///
/// # Errors
/// No address, a key that cannot be read, or no login within the time that the template allows.
pub async fn connect(work: &Work<'_>, id: &str, key: &KeyPair, facts: &mut Facts) -> Result<Arc<dyn Communicator>> {
    let login = &work.config.communicator;
    facts.insert("ID".to_owned(), Value::string(id));
    let wrong = |e| Error::failed(format!("the key that AWS made cannot be read: {e}"));
    let temporary = key.private.as_ref().map(|pem| PrivateKey::parse(pem.expose()).map_err(wrong)).transpose()?;
    let found = login.is_ssh() && login.ssh_host.is_empty();
    let host = if found { address(work, id).await? } else { String::new() };
    let machine = Machine { host: &host, key: temporary.as_ref(), ..Machine::default() };
    reach(work.cx, login, &machine, facts).await
}

/// The address that the template asks for, else the public one, else the private one.
async fn address(work: &Work<'_>, id: &str) -> Result<String> {
    let wanted = work.config.run.ssh_interface.as_str();
    for look in 1.. {
        let Some(instance) = describe(work, id).await? else { break };
        if let Some(address) = address_of(&instance, wanted, look >= PUBLIC_LOOKS) {
            return Ok(address);
        }
        if look >= PUBLIC_LOOKS {
            break;
        }
        image_action_engine::wait::pause(image_action_engine::wait::scaled(LOOK_PAUSE), &work.cx.cancel).await?;
    }
    let what = if wanted.is_empty() { "address".to_owned() } else { wanted.replace('_', " ") };
    Err(Error::new(ErrorKind::NotFound, format!("the instance {id} has no {what} to be reached at"))
        .hint("set associate_public_ip_address = true with a subnet that has a way to the internet, or ssh_interface = \"private_ip\""))
}

fn address_of(instance: &Instance, wanted: &str, private_too: bool) -> Option<String> {
    let some = |v: Option<&str>| Some(text(v)).filter(|v| !v.is_empty());
    match wanted {
        "public_ip" => some(instance.public_ip_address()),
        "private_ip" => some(instance.private_ip_address()),
        "public_dns" => some(instance.public_dns_name()),
        "private_dns" => some(instance.private_dns_name()),
        "ipv6" => some(instance.ipv6_address()).or_else(|| {
            let mut of = instance.network_interfaces().iter().flat_map(|n| n.ipv6_addresses());
            of.find_map(|a| some(a.ipv6_address()))
        }),
        _ => some(instance.public_ip_address())
            .or_else(|| if private_too { some(instance.private_ip_address()) } else { None }),
    }
}
