//! What a guest's root may not do: capabilities taken away, system calls refused.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use super::{Doing, Step};

/// What is left to root of a guest. apt, sudo, sshd and ansible work with these; none of them reaches out of the guest.
const KEPT: [Capability; 12] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FSETID,
    Capability::CAP_FOWNER,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETPCAP,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_KILL,
    Capability::CAP_AUDIT_WRITE,
];

/// Gives up every other capability, now and for every program that is started later.
pub fn capabilities() -> Step<()> {
    let kept: CapsHashSet = KEPT.into_iter().collect();
    let bounding = caps::read(None, CapSet::Bounding).doing("reading capabilities")?;
    for capability in bounding.difference(&kept) {
        caps::drop(None, CapSet::Bounding, *capability).doing("giving up capabilities")?;
    }
    caps::clear(None, CapSet::Ambient).doing("giving up capabilities")?;
    caps::clear(None, CapSet::Inheritable).doing("giving up capabilities")?;
    // PID 1 keeps what the guest's root has, no more: systemctl compares /proc/1/root with / and may only look there if so.
    caps::set(None, CapSet::Effective, &kept).doing("giving up capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).doing("giving up capabilities")
}

/// System calls that no provisioning needs and that no namespace contains, refused with EPERM: the keys of this machine's
/// users, its kernel log, programs in its kernel, namespaces of users (they give capabilities back), and a few that capabilities
/// forbid already.
const REFUSED: [libc::c_long; 22] = [
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_syslog,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_quotactl,
];

/// System calls that seem not to exist, so that programs fall back to ones that can be judged by their arguments.
const ABSENT: [libc::c_long; 2] = [libc::SYS_clone3, libc::SYS_io_uring_setup];

/// Address families that are not part of a network namespace, or that reach the kernel only.
const REFUSED_FAMILIES: [libc::c_int; 2] = [libc::AF_VSOCK, libc::AF_ALG];

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xC000_00B7;
/// Numbers from here on are the x32 variant of a call on x86_64; no other architecture has numbers this high.
const X32_BIT: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`: number, architecture, low half of the first argument (little-endian machines).
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARG0: u32 = 16;

/// Loads the filter. It holds for every process of the guest.
pub fn system_calls() -> Step<()> {
    let mut filter = filter();
    let program = libc::sock_fprog { len: filter.len() as libc::c_ushort, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call, which copies them. no_new_privs stays off (sudo needs that), so
    // this works only while we still have CAP_SYS_ADMIN.
    let rc = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program as *const _, 0, 0) };
    if rc < 0 { Err(io::Error::last_os_error()).doing("refusing system calls") } else { Ok(()) }
}

/// The filter as classic BPF: every test either returns at once or goes on to the next line.
fn filter() -> Vec<libc::sock_filter> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let refuse = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset: u32| op(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
    let give = |value: u32| op(BPF_RET | BPF_K, 0, 0, value);
    let equal = |k: libc::c_long, jt: u8, jf: u8| op(BPF_JMP | BPF_JEQ | BPF_K, jt, jf, k as u32);

    let mut out = vec![
        load(OFFSET_ARCH),
        op(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH),
        give(refuse(libc::ENOSYS)),
        load(OFFSET_NR),
        op(BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT),
        give(refuse(libc::ENOSYS)),
    ];
    for nr in ABSENT {
        out.extend([equal(nr, 0, 1), give(refuse(libc::ENOSYS))]);
    }
    for nr in REFUSED {
        out.extend([equal(nr, 0, 1), give(refuse(libc::EPERM))]);
    }
    for nr in [libc::SYS_clone, libc::SYS_unshare] {
        // If it is this call: look at the flags, answer, and never come back; so the number need not be loaded again.
        let user = op(BPF_JMP | BPF_JSET | BPF_K, 0, 1, libc::CLONE_NEWUSER as u32);
        let verdict = [load(OFFSET_ARG0), user, give(refuse(libc::EPERM)), give(libc::SECCOMP_RET_ALLOW)];
        out.push(equal(nr, 0, verdict.len() as u8));
        out.extend(verdict);
    }
    let families = REFUSED_FAMILIES
        .iter()
        .flat_map(|f| [op(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, *f as u32), give(refuse(libc::EAFNOSUPPORT))]);
    let mut verdict = vec![load(OFFSET_ARG0)];
    verdict.extend(families);
    verdict.push(give(libc::SECCOMP_RET_ALLOW));
    for nr in [libc::SYS_socket, libc::SYS_socketpair] {
        out.push(equal(nr, 0, verdict.len() as u8));
        out.extend(verdict.iter().copied());
    }
    out.push(give(libc::SECCOMP_RET_ALLOW));
    out
}

/// Signals as a new program expects them: nothing ignored, nothing blocked.
pub fn reset_signals() -> nix::Result<()> {
    for each in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(each, SigHandler::SigDfl) }?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
