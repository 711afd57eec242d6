//! Pieces on their way.

use super::{At, Client, Event, Stream, World};
use crate::sim::{links::StreamId, node::Node};

/// What a piece counts for a stream of weight 1; divisible by all weights that there are, nearly.
const TURN: u64 = 1_000_000;

impl World<'_> {
    /// Opens a stream at the piece that a node needs next.
    pub(super) fn open(&mut self, at: At, from: usize) {
        let (now, id) = (self.now(), self.streams.len());
        let part = self.part(at);
        part.stream = Some(id);
        part.moved = now;
        let next = part.have;
        let (At { node: to, layer }, weight) = (at, self.weight());
        let stream = Stream {
            from,
            to,
            layer,
            next,
            in_flight: 0,
            ready: false,
            weight,
            pass: 0,
            open: true,
        };
        self.streams.push(stream);
        if from != self.registry() {
            self.nodes[from].parts[layer].followers.push(id);
        }
        self.offer(id);
    }

    /// TCP shares a link equally in the long run only.
    fn weight(&mut self) -> u64 {
        let uneven = u64::from(self.config.unevenness);
        let weight = 100 + self.random.below(2 * uneven + 1);
        weight.saturating_sub(uneven).max(1)
    }

    /// Closes the stream of a part, if it has one. What is on its way is thrown away.
    pub(super) fn close(&mut self, at: At) {
        let Some(id) = self.part(at).stream.take() else { return };
        self.streams[id].open = false;
        let from = self.streams[id].from;
        if from != self.registry() {
            self.nodes[from].parts[at.layer].followers.retain(|other| *other != id);
        }
    }

    /// Pieces that the sender of a stream has.
    fn available(&self, stream: &Stream) -> u32 {
        match self.nodes.get(stream.from) {
            Some(node) => node.parts[stream.layer].have,
            None => self.layers[stream.layer].pieces,
        }
    }

    /// Puts a stream in its sender's queue, if there is something to send.
    fn offer(&mut self, id: StreamId) {
        let stream = &self.streams[id];
        let has_piece = stream.next < self.available(stream) && stream.in_flight < self.window;
        if !stream.open || stream.ready || !has_piece {
            return;
        }
        let sender = stream.from;
        let uplink = &mut self.uplinks[sender];
        let stream = &mut self.streams[id];
        stream.ready = true;
        stream.pass = stream.pass.max(uplink.pass);
        uplink.ready.push(id);
        self.serve(sender);
    }

    pub(super) fn freed(&mut self, sender: usize) {
        self.uplinks[sender].wakes = false;
        self.serve(sender);
    }

    /// Sends the next piece, or sees to it that this is done when the uplink is free.
    fn serve(&mut self, sender: usize) {
        let now = self.now();
        if now >= self.uplinks[sender].free_at
            && let Some(id) = self.choose(sender)
        {
            self.send(id);
        }
        let uplink = &mut self.uplinks[sender];
        if !uplink.ready.is_empty() && !uplink.wakes {
            uplink.wakes = true;
            self.agenda.at(uplink.free_at, Event::Freed(sender));
        }
    }

    /// The stream whose turn it is. Of the streams to one node on the warm path, the one that comes
    /// first in the manifest.
    fn choose(&mut self, sender: usize) -> Option<StreamId> {
        let is_dead = self.nodes.get(sender).is_some_and(Node::is_dead);
        let (streams, uplink) = (&mut self.streams, &mut self.uplinks[sender]);
        uplink.ready.retain(|id| streams[*id].open && !is_dead);
        let first = *uplink.ready.iter().min_by_key(|id| (streams[**id].pass, **id))?;
        let to = streams[first].to;
        let chosen = match self.nodes[to].client {
            Client::Runtime => first,
            Client::Warm => {
                let rivals = uplink.ready.iter().filter(|id| streams[**id].to == to);
                *rivals.min_by_key(|id| streams[**id].layer)?
            }
        };
        uplink.ready.retain(|id| *id != chosen);
        uplink.pass = streams[chosen].pass;
        streams[chosen].ready = false;
        Some(chosen)
    }

    fn send(&mut self, id: StreamId) {
        let now = self.now();
        let stream = &mut self.streams[id];
        let (layer, piece, to, from) = (stream.layer, stream.next, stream.to, stream.from);
        stream.next += 1;
        stream.in_flight += 1;
        stream.pass += TURN / stream.weight;
        let bytes = self.layers[layer].piece(piece);
        let left = self.uplinks[from].send(bytes, now);
        let is_last = self.layers[layer].is_last(piece);
        let arrives = self.nodes[to].intake.take(bytes, left, is_last);
        self.agenda.at(arrives, Event::Arrived(id));
        self.account(from, to, bytes);
        self.offer(id);
    }

    fn account(&mut self, from: usize, to: usize, bytes: u64) {
        let zone = self.nodes[to].zone;
        match self.nodes.get(from) {
            Some(sender) if sender.zone == zone => return,
            Some(_) => self.tally.crossed += bytes,
            None => {
                self.tally.egress += bytes;
                self.nodes[to].upstream += bytes;
                if self.kill_at.is_some_and(|kill_at| self.tally.egress >= kill_at) {
                    self.kill_at = None;
                    self.agenda.after(0, Event::Kill);
                }
            }
        }
        self.tally.entered[zone] += bytes;
    }

    pub(super) fn arrived(&mut self, id: StreamId) {
        let stream = &mut self.streams[id];
        stream.in_flight -= 1;
        if !stream.open {
            return;
        }
        let (at, from) = (At { node: stream.to, layer: stream.layer }, stream.from);
        let now = self.now();
        let part = self.part(at);
        part.have += 1;
        (part.moved, part.grew, part.active) = (now, Some(now), now);
        part.lost.clear();
        let have = part.have;
        for place in 0..self.parts(at).followers.len() {
            self.offer(self.parts(at).followers[place]);
        }
        if have == self.layers[at.layer].pieces {
            self.all_here(at);
            return;
        }
        self.offer(id);
        // The first bytes are news; more can wait for the heartbeat.
        if have == 1 {
            self.tell(at);
        }
        let stream = &self.streams[id];
        if from != self.registry() && stream.next >= self.available(stream) {
            self.caught_up(at.node);
        }
    }

    /// A parent's connection broke.
    pub(super) fn lost(&mut self, id: StreamId) {
        let stream = &self.streams[id];
        if stream.open {
            let (at, parent) = (At { node: stream.to, layer: stream.layer }, stream.from);
            self.lose(at, parent);
            self.follow_next(at);
        }
    }
}
