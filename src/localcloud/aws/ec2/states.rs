//! The way of an instance through EC2's states: stopped, started, rebooted, terminated.

use super::super::resources::{Instance, InstanceState};
use super::super::world::Region;
use super::super::{Answer, Call, Refused};
use super::instances::ids;
use super::{done, dry_run};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::sleep;

/// Works on an instance that exists.
pub fn with_instance<R>(
    cloud: &Cloud,
    region: &str,
    id: &str,
    work: impl FnOnce(&mut Region, &mut Instance) -> R,
) -> Option<R> {
    let mut world = cloud.aws.world();
    let region = world.region(region).ok()?;
    let mut instance = region.instances.remove(id)?;
    let result = work(region, &mut instance);
    region.instances.insert(id.to_owned(), instance);
    Some(result)
}

/// The instance exists no more; neither do the volumes that go with it.
pub fn end(region: &mut Region, i: &mut Instance) {
    i.state = InstanceState::Terminated;
    for (_, volume) in i.devices.drain(..) {
        if region.volumes.get(&volume).is_some_and(|v| v.ebs.delete_on_termination) {
            region.volumes.remove(&volume);
        } else if let Some(left) = region.volumes.get_mut(&volume) {
            left.attached = None;
        }
    }
}

/// Moves instances from one of `from` to `to`; others stay as they are, unless they are in none of `fine`.
fn change(
    cloud: &Arc<Cloud>,
    call: &Call,
    from: &[InstanceState],
    to: InstanceState,
    fine: &[InstanceState],
) -> Result<(Value, Vec<String>), Refused> {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let ids = ids(call, region)?;
    for id in &ids {
        let state = region.instances.get(id).map(|i| i.state);
        if !state.is_some_and(|s| from.contains(&s) || fine.contains(&s)) {
            let name = state.map_or("", |s| s.show().1);
            let message =
                format!("The instance '{id}' is not in a state from which it can be changed so. It is {name}.");
            return Err(Refused::new("IncorrectInstanceState", message));
        }
    }
    dry_run(call)?;
    let (mut set, mut moved) = (Vec::new(), Vec::new());
    for id in ids {
        let Some(i) = region.instances.get_mut(&id) else { continue };
        let before = i.state;
        if from.contains(&before) {
            i.state = to;
            moved.push(id.clone());
        }
        let show = |s: InstanceState| json!({ "code": s.show().0, "name": s.show().1 });
        set.push(json!({ "instanceId": id, "currentState": show(i.state), "previousState": show(before) }));
    }
    Ok((json!({ "instancesSet": set }), moved))
}

/// `StopInstances`
pub fn stop(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, Stopped, Stopping};
    let (answer, moved) = change(cloud, call, &[Running], Stopping, &[Stopped, Stopping, Pending])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            if let Some(guest) = machine.and_then(|m| m.guest) {
                // What does not stop is destroyed with the instance.
                let _ = guest.stop().await;
            }
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |_, i| {
                if i.state == Stopping {
                    i.state = Stopped;
                    i.reason = Some((
                        "Client.UserInitiatedShutdown".into(),
                        "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                    ));
                }
            });
        });
    }
    Ok(answer)
}

/// `StartInstances`
pub fn start(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, Stopped};
    let (answer, moved) = change(cloud, call, &[Stopped], Pending, &[Running, Pending])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            let started = match machine.and_then(|m| m.guest) {
                Some(guest) => guest.start().await,
                None => Ok(()),
            };
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |region, i| match started {
                Ok(()) if i.state == Pending => i.state = Running,
                Ok(()) => {}
                Err(e) => {
                    end(region, i);
                    i.reason = Some(("Server.InternalError".into(), e.to_string()));
                }
            });
        });
    }
    Ok(answer)
}

/// `RebootInstances`
pub fn reboot(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::Running;
    let (_, moved) = change(cloud, call, &[Running], Running, &[])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            if let Some(guest) = machine.and_then(|m| m.guest) {
                // A guest that does not come back answers no more, as a machine that hangs.
                let _ = guest.stop().await;
                let _ = guest.start().await;
            }
        });
    }
    done()
}

/// `TerminateInstances`
pub fn terminate(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let (answer, moved) =
        change(cloud, call, &[Pending, Running, Stopping, Stopped], ShuttingDown, &[ShuttingDown, Terminated])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.take()).flatten();
            if let Some(machine) = machine {
                cloud.machines.destroy(&machine).await;
            }
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |region, i| {
                end(region, i);
                i.reason = Some((
                    "Client.UserInitiatedShutdown".into(),
                    "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                ));
            });
        });
    }
    Ok(answer)
}
