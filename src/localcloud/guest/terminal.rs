//! Our end of a guest's terminal.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use russh::Pty;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes of one read.
const CHUNK: usize = 32 << 10;

/// Our end of a terminal, for the runtime.
pub struct Terminal(AsyncFd<OwnedFd>);

/// The size that a client names; what does not fit is cut.
pub fn size(columns: u32, rows: u32, width: u32, height: u32) -> libc::winsize {
    let short = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    libc::winsize { ws_row: short(rows), ws_col: short(columns), ws_xpixel: short(width), ws_ypixel: short(height) }
}

impl Terminal {
    /// Takes over our end.
    ///
    /// # Errors
    /// As fcntl(2) and ioctl(2).
    pub fn new(ours: OwnedFd, size: libc::winsize) -> io::Result<Self> {
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // SAFETY: the descriptor is owned by the AsyncFd and never replaced.
        let terminal = Self(unsafe { AsyncFd::register(ours) }?);
        terminal.resize(size)?;
        Ok(terminal)
    }

    /// Sets the size; programs in it get SIGWINCH.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn resize(&self, size: libc::winsize) -> io::Result<()> {
        // SAFETY: TIOCSWINSZ reads one winsize, which outlives the call.
        let rc = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(result) = ready.try_io(|fd| Ok(nix::unistd::read(fd.get_ref(), buffer)?)) {
                return result;
            }
        }
    }

    /// Types all of it.
    ///
    /// # Errors
    /// When no program has the terminal open any more.
    pub async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| Ok(nix::unistd::write(fd.get_ref(), data)?)) {
                Ok(Ok(written)) => data = &data[written..],
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Copies what appears on the terminal until no program has it open (read fails with EIO then).
pub async fn copy_out(terminal: Arc<Terminal>, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(got @ 1..) = terminal.read(&mut buffer).await {
        if to.write_all(&buffer[..got]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Name of the terminal as the guest sees it.
///
/// # Errors
/// As ioctl(2).
pub fn name(theirs: &impl AsFd) -> io::Result<String> {
    // The minor number of a terminal is its number in the guest's own /dev/pts.
    let rdev = nix::sys::stat::fstat(theirs)?.st_rdev;
    Ok(format!("/dev/pts/{}", nix::sys::stat::minor(rdev)))
}

/// Applies the modes of a `pty-req` (RFC 4254, section 8). Speeds mean nothing here.
///
/// # Errors
/// As tcsetattr(3).
pub fn apply(terminal: &impl AsFd, modes: &[(Pty, u32)]) -> io::Result<()> {
    let mut settings = tcgetattr(terminal)?;
    for (mode, value) in modes {
        apply_one(&mut settings, *mode, *value);
    }
    Ok(tcsetattr(terminal, SetArg::TCSANOW, &settings)?)
}

fn apply_one(settings: &mut Termios, mode: Pty, value: u32) {
    let on = value != 0;
    let input = match mode {
        Pty::IGNPAR => InputFlags::IGNPAR,
        Pty::PARMRK => InputFlags::PARMRK,
        Pty::INPCK => InputFlags::INPCK,
        Pty::ISTRIP => InputFlags::ISTRIP,
        Pty::INLCR => InputFlags::INLCR,
        Pty::IGNCR => InputFlags::IGNCR,
        Pty::ICRNL => InputFlags::ICRNL,
        Pty::IXON => InputFlags::IXON,
        Pty::IXANY => InputFlags::IXANY,
        Pty::IXOFF => InputFlags::IXOFF,
        Pty::IMAXBEL => InputFlags::IMAXBEL,
        Pty::IUTF8 => InputFlags::IUTF8,
        _ => InputFlags::empty(),
    };
    let local = match mode {
        Pty::ISIG => LocalFlags::ISIG,
        Pty::ICANON => LocalFlags::ICANON,
        Pty::ECHO => LocalFlags::ECHO,
        Pty::ECHOE => LocalFlags::ECHOE,
        Pty::ECHOK => LocalFlags::ECHOK,
        Pty::ECHONL => LocalFlags::ECHONL,
        Pty::NOFLSH => LocalFlags::NOFLSH,
        Pty::TOSTOP => LocalFlags::TOSTOP,
        Pty::IEXTEN => LocalFlags::IEXTEN,
        Pty::ECHOCTL => LocalFlags::ECHOCTL,
        Pty::ECHOKE => LocalFlags::ECHOKE,
        Pty::PENDIN => LocalFlags::PENDIN,
        _ => LocalFlags::empty(),
    };
    let output = match mode {
        Pty::OPOST => OutputFlags::OPOST,
        Pty::OLCUC => OutputFlags::OLCUC,
        Pty::ONLCR => OutputFlags::ONLCR,
        Pty::OCRNL => OutputFlags::OCRNL,
        Pty::ONOCR => OutputFlags::ONOCR,
        Pty::ONLRET => OutputFlags::ONLRET,
        _ => OutputFlags::empty(),
    };
    let control = match mode {
        Pty::PARENB => ControlFlags::PARENB,
        Pty::PARODD => ControlFlags::PARODD,
        _ => ControlFlags::empty(),
    };
    settings.input_flags.set(input, on);
    settings.local_flags.set(local, on);
    settings.output_flags.set(output, on);
    settings.control_flags.set(control, on);
    let character = match mode {
        Pty::VINTR => SpecialCharacterIndices::VINTR,
        Pty::VQUIT => SpecialCharacterIndices::VQUIT,
        Pty::VERASE => SpecialCharacterIndices::VERASE,
        Pty::VKILL => SpecialCharacterIndices::VKILL,
        Pty::VEOF => SpecialCharacterIndices::VEOF,
        Pty::VSTART => SpecialCharacterIndices::VSTART,
        Pty::VSTOP => SpecialCharacterIndices::VSTOP,
        Pty::VSUSP => SpecialCharacterIndices::VSUSP,
        Pty::VWERASE => SpecialCharacterIndices::VWERASE,
        Pty::VREPRINT => SpecialCharacterIndices::VREPRINT,
        Pty::VLNEXT => SpecialCharacterIndices::VLNEXT,
        _ => return,
    };
    settings.control_chars[character as usize] = u8::try_from(value).unwrap_or(0);
}
