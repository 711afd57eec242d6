//! The smallest name server: every name has one and the same IPv4 address, and no other record.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
};

/// The type of a question for an IPv4 address.
const TYPE_A: [u8; 2] = [0, 1];

/// Answers in a thread of its own, to the end of the program.
pub(crate) fn answer_all(socket: UdpSocket, address: Ipv4Addr) {
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            if let Some(answer) = answer(&query[..length], address) {
                // A client that does not hear it asks again.
                let _ = socket.send_to(&answer, client);
            }
        }
    });
}

/// RFC 1035, 4.1: the question is repeated, and the answer points back to its name.
fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let (header, question) = query.split_at_checked(12)?;
    let name = question.iter().position(|length| *length == 0)? + 1;
    let question = question.get(..name + 4)?;
    let found = question[name..name + 2] == TYPE_A;
    let mut answer = [&header[..2], &[0x85, 0x80, 0, 1, 0, found.into(), 0, 0, 0, 0]].concat();
    answer.extend(question);
    if found {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
