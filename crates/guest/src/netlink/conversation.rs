use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Questions to the kernel's routing side and its answers, one after the other, over a blocking socket: what the clients
/// of nodes and of routers have in common. The socket belongs to the network namespace of the thread that opened it.
pub struct Conversation {
    socket: Socket,
    sequence: u32,
}

impl Conversation {
    /// For the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Conversation> {
        Ok(Conversation { socket: connect(NETLINK_ROUTE)?, sequence: 0 })
    }

    /// Changes something, and waits for the kernel's word that it did.
    ///
    /// # Errors
    /// The kernel's; so for all of these.
    pub fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, flags | NLM_F_ACK).map(drop)
    }

    /// Asks for a whole table, again if it changed while the kernel told it.
    ///
    /// # Errors
    /// As above; [`io::ErrorKind::Interrupted`] if it changed each time.
    pub fn dump(&mut self, ask: impl Fn() -> RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        const TRIES: usize = 5;
        for _ in 1..TRIES {
            match self.request(ask(), NLM_F_DUMP) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
        self.request(ask(), NLM_F_DUMP)
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// As above.
    pub fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        self.answer(flags & NLM_F_DUMP == NLM_F_DUMP || flags & NLM_F_ACK != 0)
    }

    /// Reads the answer: one message, or if `marked` everything up to the kernel's mark of the end.
    fn answer(&mut self, marked: bool) -> io::Result<Vec<RouteNetlinkMessage>> {
        let (mut messages, mut torn) = (Vec::new(), false);
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = &datagram[..];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
                rest = rest.get(aligned(message.header.length)..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => messages.push(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Done(_) if torn => return Err(io::ErrorKind::Interrupted.into()),
                    _ => return Ok(messages),
                }
            }
            if !marked {
                return Ok(messages);
            }
        }
    }
}

/// A socket of that protocol that speaks to the kernel.
///
/// # Errors
/// The kernel's.
pub fn connect(protocol: isize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Netlink aligns everything to four bytes.
pub fn aligned(length: u32) -> usize {
    length.next_multiple_of(4) as usize
}

/// What was to be removed and is not there is removed.
///
/// # Errors
/// Any other that there was.
pub fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::ENODEV | nix::libc::ESRCH)) => Ok(()),
        other => other,
    }
}

/// The interface's own address.
pub fn local_address(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}
