//! The guest's network namespace: loopback up, and no way to the addresses of this machine.
//!
//! User-mode networking hides this machine's loopback, but a connection to any other address of this machine, or to the
//! link-local address where a cloud keeps its credentials, would still arrive. An `unreachable` route for each closes that; a
//! guest has no CAP_NET_ADMIN to take it away and no CAP_NET_RAW to go round it.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Link-local addresses: the metadata services of all clouds.
const LINK_LOCAL: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 0, 0), 16);
/// Azure's address for its host agent (DHCP, goal state, certificates).
const AZURE_WIRESERVER: (Ipv4Addr, u8) = (Ipv4Addr::new(168, 63, 129, 16), 32);
/// Bytes of `struct nlmsghdr`.
const NL_HEADER: usize = 16;

/// Sets the loopback device up (`ip link set lo up`).
pub fn loopback_up() -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data; all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &request) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Adds an `unreachable` route for every address and for the places where clouds keep credentials.
pub fn block(addresses: &[Ipv4Addr]) -> io::Result<()> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let own = addresses.iter().map(|a| (*a, 32));
    for (sequence, (address, bits)) in [LINK_LOCAL, AZURE_WIRESERVER].into_iter().chain(own).enumerate() {
        if address.is_loopback() {
            continue;
        }
        match add_unreachable(&socket, sequence as u32, address, bits) {
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {}
            other => other?,
        }
    }
    Ok(())
}

/// One RTM_NEWROUTE (rtnetlink(7)): header, rtmsg, one attribute with the destination.
fn add_unreachable(socket: &OwnedFd, sequence: u32, address: Ipv4Addr, bits: u8) -> io::Result<()> {
    const RTMSG: usize = 12;
    const ATTRIBUTE: usize = 4 + 4;
    let total = (NL_HEADER + RTMSG + ATTRIBUTE) as u32;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let mut message = Vec::with_capacity(total as usize);
    message.extend_from_slice(&total.to_ne_bytes());
    message.extend_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0u32.to_ne_bytes());
    let table = libc::RT_TABLE_MAIN;
    // family, destination bits, source bits, tos, table, protocol (RTPROT_STATIC), scope (universe), type, then flags.
    message.extend_from_slice(&[libc::AF_INET as u8, bits, 0, 0, table, libc::RTPROT_STATIC, 0, libc::RTN_UNREACHABLE]);
    message.extend_from_slice(&0u32.to_ne_bytes());
    message.extend_from_slice(&(ATTRIBUTE as u16).to_ne_bytes());
    message.extend_from_slice(&libc::RTA_DST.to_ne_bytes());
    message.extend_from_slice(&address.octets());
    send(socket.as_raw_fd(), &message, nix::sys::socket::MsgFlags::empty())?;
    let mut answer = [0u8; 256];
    let got = recv(socket.as_raw_fd(), &mut answer, nix::sys::socket::MsgFlags::empty())?;
    // NLMSG_ERROR with error 0 is the acknowledgement.
    let code = answer.get(NL_HEADER..NL_HEADER + 4).filter(|_| got >= NL_HEADER + 4);
    match code.map(|c| i32::from_ne_bytes([c[0], c[1], c[2], c[3]])) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer from rtnetlink")),
    }
}
