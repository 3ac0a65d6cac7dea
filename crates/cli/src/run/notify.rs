//! What systemd is told, where it asks: by datagrams to the socket that NOTIFY_SOCKET names.

use std::{ffi::OsStr, os::unix::net::UnixDatagram};

/// Tells it, if it asks. Whether it hears is its own business.
pub(super) fn tell(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = send(&socket, state);
    }
}

fn send(socket: &OsStr, state: &str) -> std::io::Result<()> {
    let datagram = UnixDatagram::unbound()?;
    datagram.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    {
        use std::os::{linux::net::SocketAddrExt as _, unix::ffi::OsStrExt as _};
        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            datagram.send_to_addr(state.as_bytes(), &address)?;
            return Ok(());
        }
    }
    datagram.send_to(state.as_bytes(), socket)?;
    Ok(())
}
