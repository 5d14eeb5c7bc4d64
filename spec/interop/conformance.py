"""Checks a WebSocket peer that echoes against RFC 6455, case by case, with framing of its own.

Usage: conformance.py [OPTION...] server PORT         is the client of an echo server
       conformance.py [OPTION...] client COMMAND...   is the server of an echo client, which is
                                                      started once a case, with a URL as last word
Options: --full        messages of up to 16 MiB instead of 1 MiB, and all else in proportion
         --only PARTS  cases whose numbers begin so, like 1,5.1,6.4
         --chunk N     write at most N bytes at a time to the socket
         --jobs N      cases at the same time (2)
         --times       tell how long each case of group 9 took
         --list        name the cases and end

Prints one line for each case that failed, then a summary. Ends with status 0 if none did.

What is asked for beyond the wording of the RFC: what was received before a violation or a close
frame is echoed first; a violation is answered at the byte that makes it one, with a close frame
that holds the right code; a close frame is answered with the same code; and TCP connections end in
order, without a reset, the server's side first.
"""
import argparse
import base64
import concurrent.futures
import hashlib
import itertools
import os
import select
import socket
import struct
import subprocess
import sys
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL, PROTOCOL, NOT_TEXT, TOO_BIG = 1000, 1002, 1007, 1009

SECONDS = 20      # for one case; an echo that takes longer has failed
END_SECONDS = 2   # to end the TCP connection after the last close frame
GRACE = 0.05      # in which a peer must not have done what it must not do

KIB, MIB = 1024, 1024 * 1024


class Failure(Exception):
    pass


# ------------------------------------------------------------------------------------------ frames

def masked(data, mask):
    pattern = mask * (len(data) // 4) + mask[:len(data) % 4]
    number = int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")
    return number.to_bytes(len(data), "little")


class Frame:
    """One frame to be sent, right or wrong."""

    def __init__(self, opcode, payload=b"", fin=True, rsv=0, length_bytes=None, flip_mask=False,
                 announce=None):
        self.first = (0x80 if fin else 0) | rsv << 4 | opcode
        self.payload, self.flip_mask = payload, flip_mask
        self.length = len(payload) if announce is None else announce
        if length_bytes is None:
            length_bytes = 0 if self.length < 126 else 2 if self.length < 65536 else 8
        self.length_bytes = length_bytes

    def encode(self, is_client):
        is_masked = is_client != self.flip_mask
        small = {0: self.length, 2: 126, 8: 127}[self.length_bytes]
        head = bytes([self.first, small | (0x80 if is_masked else 0)])
        if self.length_bytes:
            head += self.length.to_bytes(self.length_bytes, "big")
        if not is_masked:
            return head + self.payload
        mask = os.urandom(4)
        return head + mask + masked(self.payload, mask)


def text(payload, fin=True, **more):
    return Frame(TEXT, payload, fin, **more)


def binary(payload, fin=True, **more):
    return Frame(BINARY, payload, fin, **more)


def more_of_it(payload=b"", fin=False):
    return Frame(CONTINUATION, payload, fin)


def ping(payload=b"", **more):
    return Frame(PING, payload, **more)


def pong(payload=b"", **more):
    return Frame(PONG, payload, **more)


def close(code=None, reason=b""):
    return Frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def fragments(opcode, payload, size):
    """The frames of one message, each of at most 'size' bytes."""
    starts = range(0, len(payload), size) if payload else [0]
    last = starts[-1]
    return [Frame(opcode if at == 0 else CONTINUATION, payload[at:at + size], at == last)
            for at in starts]


# What a frame's bytes are written to the socket in.
TOGETHER, FRAME_BY_FRAME, BYTE_BY_BYTE = "together", "frame by frame", "byte by byte"


def shown(data):
    return repr(data) if len(data) <= 40 else "%r... (%d bytes)" % (data[:24], len(data))


def shown_event(event):
    kind = event[0]
    if kind == "message":
        return "%s message %s" % ("text" if event[1] == TEXT else "binary", shown(event[2]))
    if kind in ("ping", "pong"):
        return "%s %s" % (kind, shown(event[1]))
    if kind == "close":
        return "close frame %s %s" % (event[1], shown(event[2]))
    return {"end": "the end of the connection", "reset": "a reset connection"}[kind]


# ------------------------------------------------------------------------------------ a connection

class Peer:
    """Our side of one connection. What the other side may not send raises Failure at once."""

    def __init__(self, sock, is_client, options):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.is_client, self.chunk = sock, is_client, options.chunk
        self.full = options.full
        self.deadline = time.monotonic() + SECONDS * (6 if options.full or options.chunk else 1)
        self.input, self.at = bytearray(), 0
        self.ended = None     # "end" or "reset", once the other side has
        self.gathered = None  # opcode and parts of a fragmented message under way
        self.masks = []
        self.pending_head = b""

    def scaled(self, size):
        return size if self.full else size // 16

    # -- the socket

    def wait(self, for_writing, until, what):
        left = until - time.monotonic()
        if left <= 0:
            raise Failure("waited too long for " + what)
        writers = [self.sock] if for_writing else []
        readers = [] if self.ended else [self.sock]
        select.select(readers, writers, [], left)

    def fill(self):
        """Takes what has arrived. False: nothing had."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(MIB)
        except BlockingIOError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            return True
        if data:
            self.input += data
        else:
            self.ended = "end"
        return True

    def write(self, data, size=None):
        """Writes all, 'size' bytes at a time, and reads where that is needed to get on."""
        view, at = memoryview(data), 0
        size = min(size or len(data), self.chunk or len(data))
        while at < len(view):
            try:
                at += self.sock.send(view[at:at + size])
            except BlockingIOError:
                if not self.fill():
                    self.wait(True, self.deadline, "room to send")
            except (ConnectionResetError, BrokenPipeError):
                return  # what it said before is what counts

    # -- receiving

    def take(self, count):
        data = bytes(self.input[self.at:self.at + count])
        self.at += count
        if self.at == len(self.input):
            self.input, self.at = bytearray(), 0
        return data

    def parse(self):
        """The next frame as (fin, opcode, payload), or None if it is not complete."""
        have = len(self.input) - self.at
        if have < 2:
            return None
        first, second = self.input[self.at], self.input[self.at + 1]
        if first & 0x70:
            raise Failure("a frame with reserved bits came")
        if bool(second & 0x80) == self.is_client:
            raise Failure("a masked frame came" if self.is_client else "an unmasked frame came")
        fin, opcode, length, head = first >> 7, first & 15, second & 0x7F, 2
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Failure("a frame with opcode %d came" % opcode)
        if opcode >= CLOSE and (not fin or length > 125):
            raise Failure("a control frame came that is fragmented or too long")
        if length >= 126:
            wide = 2 if length == 126 else 8
            if have < 2 + wide:
                return None
            length = int.from_bytes(self.input[self.at + 2:self.at + 2 + wide], "big")
            head += wide
            if length < (126 if wide == 2 else 65536):
                raise Failure("a frame came whose length is not in its shortest form")
        mask_bytes = 4 if second & 0x80 else 0
        if have < head + mask_bytes + length:
            return None
        mask = self.take(head + mask_bytes)[head:]
        payload = self.take(length)
        if mask:
            self.masks.append(mask)
            payload = masked(payload, mask)
        return fin, opcode, payload

    def assemble(self, frame):
        """An event, or None inside a fragmented message."""
        fin, opcode, payload = frame
        if opcode in (PING, PONG):
            return ("ping" if opcode == PING else "pong", payload)
        if opcode == CLOSE:
            if len(payload) == 1:
                raise Failure("a close frame with half a code came")
            code = int.from_bytes(payload[:2], "big") if payload else None
            payload[2:].decode("utf-8")
            return ("close", code, payload[2:])
        if (opcode == CONTINUATION) != (self.gathered is not None):
            raise Failure("a frame came that does not continue, or interrupts, a message")
        if opcode != CONTINUATION:
            self.gathered = (opcode, [])
        kind, parts = self.gathered
        parts.append(payload)
        if not fin:
            return None
        self.gathered = None
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        if kind == TEXT:
            whole.decode("utf-8")
        return ("message", kind, whole)

    def next(self, what, seconds=None):
        until = self.deadline if seconds is None else time.monotonic() + seconds
        while True:
            frame = self.parse()
            while frame is None and not self.ended:
                if not self.fill():
                    self.wait(False, until, what)
                frame = self.parse()
            if frame is None:
                if self.ended == "end" and len(self.input) > self.at:
                    raise Failure("the connection ended within a frame")
                return (self.ended,)
            try:
                event = self.assemble(frame)
            except UnicodeDecodeError:
                raise Failure("a text or close reason came that is not UTF-8")
            if event:
                return event

    # -- what cases are made of

    def send(self, *frames, how=TOGETHER):
        """'how': one of the ways above, or a number of bytes written at a time."""
        encoded = [frame.encode(self.is_client) for frame in frames]
        encoded[0] = self.pending_head + encoded[0]
        self.pending_head = b""
        if how == FRAME_BY_FRAME:
            for data in encoded:
                self.write(data)
        else:
            size = {TOGETHER: None, BYTE_BY_BYTE: 1}.get(how, how)
            self.write(b"".join(encoded), size)

    def expect(self, *event, seconds=None):
        what = shown_event(event)
        got = self.next(what, seconds)
        if got != event:
            raise Failure("expected %s, got %s" % (what, shown_event(got)))

    def expect_message(self, opcode, payload):
        self.expect("message", opcode, payload)

    def expect_pong(self, payload=b""):
        self.expect("pong", payload)

    def expect_silence(self):
        """Neither an answer nor an end, for a moment."""
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            if self.fill():
                raise Failure("expected nothing yet, got %s" % shown_event(self.next("it")))
            select.select([self.sock], [], [], max(0, until - time.monotonic()))

    def expect_end(self):
        """After both close frames: a server ends TCP first, a client waits for that."""
        if not self.is_client:
            self.sock.shutdown(socket.SHUT_WR)
        self.expect("end", seconds=END_SECONDS)

    def expect_quiet_end(self):
        """What the other side makes of a connection that we have ended."""
        self.expect("end", seconds=END_SECONDS)

    def expect_failure(self, code):
        """The other side finds a violation, says so and ends the connection."""
        self.expect("close", code, b"")
        if not self.is_client:
            self.send(close(code))
        self.expect_end()

    def expect_close(self, code=NORMAL):
        """The answer to our close frame, and the orderly end."""
        self.expect("close", code, b"")
        if not self.is_client:
            self.expect_silence()
        self.expect_end()

    def finish(self):
        self.send(close(NORMAL))
        self.expect_close()


# ------------------------------------------------------------------------------------------- cases

CASES = []  # (number, title, function, for which side or None)


def add(number, title, function, side=None):
    CASES.append((number, title, function, side))


def case(number, title, side=None):
    def register(function):
        add(number, title, function, side)
        return function
    return register


def echoes(*messages, how=TOGETHER):
    """Each of (opcode, payload) comes back; then the connection is closed."""
    def run(peer):
        for opcode, payload in messages:
            peer.send(Frame(opcode, payload), how=how)
            peer.expect_message(opcode, payload)
        peer.finish()
    return run


def answers(frames, expected, how=TOGETHER):
    """Frames that are right; 'expected' holds what comes back: pongs as bytes, messages as pairs."""
    def run(peer):
        peer.send(*frames, how=how)
        for item in expected:
            if isinstance(item, bytes):
                peer.expect_pong(item)
            else:
                peer.expect_message(*item)
        peer.finish()
    return run


def fails(frames, code=PROTOCOL, before=(), how=TOGETHER):
    """Frames with a violation in them; messages 'before' it come back first."""
    def run(peer):
        peer.send(*frames, how=how)
        for item in before:
            peer.expect_message(*item)
        peer.expect_failure(code)
    return run


def filler(opcode, size):
    if opcode == BINARY:
        return bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    return b"*" * size


# Group 1: one frame a message.
for group, opcode in ((1, TEXT), (2, BINARY)):
    for index, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
        add("1.%d.%d" % (group, index), "a message of %d bytes" % size,
            echoes((opcode, filler(opcode, size))))
    add("1.%d.8" % group, "a message of 65536 bytes in writes of 997",
        echoes((opcode, filler(opcode, 65536)), how=997))

# Group 2: pings and pongs.
NOT_UTF8 = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
add("2.1", "a ping without payload", answers([ping()], [b""]))
add("2.2", "a ping with text", answers([ping(b"Hello, world!")], [b"Hello, world!"]))
add("2.3", "a ping with bytes that are no text", answers([ping(NOT_UTF8)], [NOT_UTF8]))
add("2.4", "a ping of 125 bytes", answers([ping(b"\xfe" * 125)], [b"\xfe" * 125]))
add("2.5", "a ping of 126 bytes", fails([ping(b"\xfe" * 126)]))
add("2.6", "a ping of 125 bytes, byte by byte",
    answers([ping(b"\xfe" * 125)], [b"\xfe" * 125], BYTE_BY_BYTE))
add("2.7", "a pong nobody asked for", answers([pong()], []))
add("2.8", "a pong nobody asked for, with payload", answers([pong(b"unsolicited")], []))
add("2.9", "a pong nobody asked for, then a ping",
    answers([pong(b"unsolicited"), ping(b"a ping")], [b"a ping"]))
TEN = [b"payload-%d" % index for index in range(10)]
add("2.10", "ten pings", answers([ping(payload) for payload in TEN], TEN))
add("2.11", "ten pings, byte by byte",
    answers([ping(payload) for payload in TEN], TEN, BYTE_BY_BYTE))

# Group 3: reserved bits.
HELLO = b"Hello, world!"
BEFORE = [(TEXT, HELLO)]
add("3.1", "a text with reserved bits 1", fails([text(HELLO, rsv=1)]))
for number, rsv, how in (("3.2", 2, TOGETHER), ("3.3", 3, FRAME_BY_FRAME), ("3.4", 4, BYTE_BY_BYTE)):
    add(number, "a text, one with reserved bits %d, a ping, %s" % (rsv, how),
        fails([text(HELLO), text(HELLO, rsv=rsv), ping()], before=BEFORE, how=how))
add("3.5", "a binary message with reserved bits 5", fails([binary(NOT_UTF8, rsv=5)]))
add("3.6", "a ping with reserved bits 6", fails([ping(HELLO, rsv=6)]))
add("3.7", "a close frame with reserved bits 7", fails([Frame(CLOSE, rsv=7)]))

# Group 4: reserved opcodes.
for group, first in ((1, 3), (2, 11)):
    for index in range(5):
        opcode = first + index
        number = "4.%d.%d" % (group, index + 1)
        payload = HELLO if index in (1, 3, 4) else b""
        if index < 2:
            add(number, "opcode %d" % opcode, fails([Frame(opcode, payload)]))
        else:
            how = (TOGETHER, FRAME_BY_FRAME, BYTE_BY_BYTE)[index - 2]
            add(number, "a text, opcode %d, a ping, %s" % (opcode, how),
                fails([text(HELLO), Frame(opcode, payload), ping()], before=BEFORE, how=how))

# Group 5: fragments.
A, B = b"fragment1", b"fragment2"
AB = [(TEXT, A + B)]
TWO = [text(A, False), more_of_it(B, True)]
add("5.1", "a ping in two fragments", fails([ping(A, fin=False), more_of_it(B, True)]))
add("5.2", "a pong in two fragments", fails([pong(A, fin=False), more_of_it(B, True)]))
WAYS = (TOGETHER, FRAME_BY_FRAME, BYTE_BY_BYTE)
for index, how in enumerate(WAYS):
    add("5.%d" % (3 + index), "a text in two fragments, " + how, answers(TWO, AB, how))
    add("5.%d" % (6 + index), "a ping between two fragments, " + how,
        answers([TWO[0], ping(b"a ping"), TWO[1]], [b"a ping"] + AB, how))
    add("5.%d" % (9 + index), "a last fragment of nothing, then a text, " + how,
        fails([more_of_it(A, True), text(HELLO)], how=how))
    add("5.%d" % (12 + index), "a fragment of nothing, then a text, " + how,
        fails([more_of_it(A), text(HELLO)], how=how))
add("5.15", "a text in two fragments, then a fragment of nothing, then a text",
    fails(TWO + [more_of_it(A), text(HELLO)], before=AB))
for number, fin in (("5.16", False), ("5.17", True)):
    add(number, "a fragment of nothing before each of two texts in two fragments",
        fails([more_of_it(A, fin), text(A, False), more_of_it(B, True)] * 2))
add("5.18", "a new text inside a fragmented one", fails([text(A, False), text(B)]))


def five_fragments(how):
    def run(peer):
        parts = [b"fragment%d" % index for index in range(1, 6)]
        peer.send(text(parts[0], False), more_of_it(parts[1]), ping(b"ping 1"), how=how)
        peer.expect_pong(b"ping 1")
        peer.send(more_of_it(parts[2]), more_of_it(parts[3]), ping(b"ping 2"),
                  more_of_it(parts[4], True), how=how)
        peer.expect_pong(b"ping 2")
        peer.expect_message(TEXT, b"".join(parts))
        peer.finish()
    return run


add("5.19", "a text in five fragments with pings between", five_fragments(TOGETHER))
add("5.20", "a text in five fragments with pings between, frame by frame",
    five_fragments(FRAME_BY_FRAME))

# Group 6: UTF-8.
KOSME = "κ\u1f79σμε".encode()
MIXED = "Hello-µ@ßöäüàá-UTF-8!!".encode()
SURROGATE = b"\xed\xa0\x80"
BAD = KOSME + SURROGATE + b"edited"


def can_be_continued(data):
    """Whether data is the beginning of some UTF-8 text, by trying."""
    for count in range(4):
        for tail in itertools.product(b"\x80\x90\xa0", repeat=count):
            try:
                (data + bytes(tail)).decode("utf-8")
                return True
            except UnicodeDecodeError:
                pass
    return False


def first_bad(data):
    """How many bytes it takes to see that data is not UTF-8; None: all of it, and its end."""
    for count in range(1, len(data) + 1):
        if not can_be_continued(data[:count]):
            return count
    return None


def is_utf8(data):
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def stops_early(payload, count):
    """The message is announced whole, but nothing is sent beyond its first bad byte."""
    def run(peer):
        whole = text(payload).encode(peer.is_client)
        peer.write(whole[:len(whole) - len(payload) + count])
        peer.expect_failure(NOT_TEXT)
    return run


def one_sequence(number, payload):
    title = "text %s" % payload.hex()
    if is_utf8(payload):
        add(number, title, echoes((TEXT, payload)))
        return
    add(number, title, fails([text(payload)], NOT_TEXT))
    count = first_bad(payload + b"\x20")
    add(number + " early", title + ", refused at its first bad byte",
        stops_early(payload + b"\x20" * 8, count))


add("6.1.1", "an empty text", echoes((TEXT, b"")))
add("6.1.2", "an empty text in three fragments",
    answers([text(b"", False), more_of_it(), more_of_it(fin=True)], [(TEXT, b"")]))
add("6.1.3", "a text in three fragments, the first and last empty",
    answers([text(b"", False), more_of_it(HELLO), more_of_it(fin=True)], BEFORE))
add("6.2.1", "a text", echoes((TEXT, MIXED)))
add("6.2.2", "a text in two fragments",
    answers([text(MIXED[:12], False), more_of_it(MIXED[12:], True)], [(TEXT, MIXED)]))
add("6.2.3", "a text in fragments of one byte",
    answers(fragments(TEXT, MIXED, 1), [(TEXT, MIXED)]))
add("6.2.4", "a Greek text in fragments of one byte",
    answers(fragments(TEXT, KOSME, 1), [(TEXT, KOSME)]))
add("6.3.1", "not UTF-8", fails([text(BAD)], NOT_TEXT))
add("6.3.2", "not UTF-8, in fragments of one byte", fails(fragments(TEXT, BAD, 1), NOT_TEXT))


def fails_fast_in_frames(good, bad):
    def run(peer):
        peer.send(text(good, False))
        peer.send(ping(b"still there?"))  # the first fragment is fine
        peer.expect_pong(b"still there?")
        peer.send(more_of_it(bad))
        peer.expect_failure(NOT_TEXT)
    return run


def fails_fast_in_chops(good, bad, rest):
    def run(peer):
        whole = text(good + bad + rest).encode(peer.is_client)
        head = len(whole) - len(good + bad + rest)
        peer.write(whole[:head + len(good)])
        peer.expect_silence()
        peer.write(whole[head + len(good):head + len(good + bad)])
        peer.expect_failure(NOT_TEXT)
    return run


add("6.4.1", "the second of three fragments is bad", fails_fast_in_frames(KOSME, b"\xf4\x90\x80\x80"))
add("6.4.2", "the second of three fragments is the bad byte",
    fails_fast_in_frames(KOSME + b"\xf4", b"\x90"))
add("6.4.3", "the second of three parts of a frame is bad",
    fails_fast_in_chops(KOSME, b"\xf4\x90\x80\x80", b"edited"))
add("6.4.4", "the second of three parts of a frame is the bad byte",
    fails_fast_in_chops(KOSME + b"\xf4", b"\x90", b"\x80\x80edited"))


def code_point(value):
    """UTF-8 of any value up to 31 bits, as it was before RFC 3629: also of what is refused now."""
    for size, limit in ((1, 0x80), (2, 0x800), (3, 0x10000), (4, 0x200000), (5, 0x4000000),
                        (6, 0x80000000)):
        if value < limit:
            return overlong(value, size)
    raise ValueError(value)


def overlong(value, size):
    if size == 1:
        return bytes([value])
    tail = bytes(0x80 | value >> 6 * index & 0x3F for index in reversed(range(size - 1)))
    return bytes([(0xFF00 >> size & 0xFF) | value >> 6 * (size - 1)]) + tail


def lonely(first, last):
    return b" ".join(bytes([byte]) for byte in range(first, last + 1)) + b" "


CUT = [overlong(0, size)[:-1] for size in range(2, 7)] + \
    [code_point((1 << bits) - 1)[:-1] for bits in (11, 16, 21, 26, 31)]
NONCHARACTERS = [0xFFFE, 0xFFFF] + [
    plane << 16 | low for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)]
SEQUENCES = {
    # whole texts, and all beginnings of one
    5: [MIXED, KOSME, "Ελληνικά".encode(), "שלום".encode(), "日本語 😀".encode()],
    6: [KOSME[:count] for count in range(1, len(KOSME) + 1)],
    # the first and last of each length
    7: [code_point(value) for value in (0, 0x80, 0x800, 0x10000)],
    8: [code_point(value) for value in (0x200000, 0x4000000)],
    9: [code_point(value) for value in (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)],
    10: [code_point(value) for value in (0x1FFFFF, 0x3FFFFFF, 0x7FFFFFFF)],
    11: [code_point(value) for value in (0xD7FF, 0xE000, 0xFFFD, 0x10FFFF, 0x110000)],
    # continuation bytes alone, lead bytes alone, the last byte missing
    12: [b"\x80", b"\xbf"] + [b"\x80\xbf\x80\xbf\x80\xbf"[:count] for count in range(2, 7)] +
        [bytes(range(0x80, 0xC0))],
    13: [lonely(0xC0, 0xDF), lonely(0xE0, 0xEF), lonely(0xF0, 0xF7), lonely(0xF8, 0xFB),
         lonely(0xFC, 0xFD)],
    14: CUT,
    15: [b"".join(CUT)],
    16: [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    # overlong
    17: [overlong(0x2F, size) for size in range(2, 7)],
    18: [overlong(limit, size)
         for limit, size in ((0x7F, 2), (0x7FF, 3), (0xFFFF, 4), (0x1FFFFF, 5), (0x3FFFFFF, 6))],
    19: [overlong(0, size) for size in range(2, 7)],
    # surrogates, alone and in pairs
    20: [code_point(value) for value in (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)],
    21: [code_point(high) + code_point(low)
         for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF) for low in (0xDC00, 0xDFFF)],
    # no characters, but allowed
    22: [code_point(value) for value in NONCHARACTERS],
    23: [code_point(value) for value in range(0xFFF9, 0x10000)],
}
for group, payloads in SEQUENCES.items():
    for index, payload in enumerate(payloads, 1):
        one_sequence("6.%d.%d" % (group, index), payload)

# Group 7: closing.


@case("7.1.1", "a message, then a close frame")
def _(peer):
    peer.send(text(HELLO), close(NORMAL))
    peer.expect_message(TEXT, HELLO)
    peer.expect_close()


def ignored_after_close(*frames):
    def run(peer):
        peer.send(close(NORMAL), *frames)
        peer.expect_close()
    return run


add("7.1.2", "two close frames", ignored_after_close(close(NORMAL)))
add("7.1.3", "a ping after the close frame", ignored_after_close(ping()))
add("7.1.4", "a text after the close frame", ignored_after_close(text(HELLO)))


@case("7.1.5", "a close frame between fragments")
def _(peer):
    peer.send(text(A, False), close(NORMAL), more_of_it(B, True))
    peer.expect_close()


@case("7.1.6", "a large message, a close frame, a ping")
def _(peer):
    payload = filler(TEXT, 256 * KIB)
    peer.send(text(payload), close(NORMAL), ping())
    peer.expect_message(TEXT, payload)
    peer.expect_close()


def closes(frame, code):
    def run(peer):
        peer.send(frame)
        peer.expect_close(code)
    return run


add("7.3.1", "a close frame without payload", closes(close(), None))
add("7.3.2", "a close frame with half a code", fails([Frame(CLOSE, b"\x03")]))
add("7.3.3", "a close frame with a code", closes(close(NORMAL), NORMAL))
add("7.3.4", "a close frame with a reason", closes(close(NORMAL, b"Hello, world!"), NORMAL))
add("7.3.5", "a close frame with the longest reason", closes(close(NORMAL, b"*" * 123), NORMAL))
add("7.3.6", "a close frame with a reason that is too long", fails([close(NORMAL, b"*" * 124)]))
add("7.5.1", "a close frame with a reason that is not UTF-8",
    fails([close(NORMAL, BAD)], NOT_TEXT))
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
for index, code in enumerate(VALID_CODES, 1):
    add("7.7.%d" % index, "close code %d" % code, closes(close(code), code))
for index, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
    add("7.9.%d" % index, "close code %d" % code, fails([close(code)]))
add("7.13.1", "close code 5000", fails([close(5000)]))
add("7.13.2", "close code 65535", fails([close(65535)]))

# Group 9: sizes and speed.
SIZES = (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB)
FRAGMENTS = (64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB)


def large(opcode, size, fragment=None, how=TOGETHER):
    def run(peer):
        payload = filler(opcode, peer.scaled(size))
        frames = fragments(opcode, payload, fragment or size)
        peer.send(*frames, how=how)
        peer.expect_message(opcode, payload)
        peer.finish()
    return run


def many(opcode, size):
    def run(peer):
        payload = filler(opcode, size)
        for _ in range(1000 if peer.full else 100):
            peer.send(Frame(opcode, payload))
            peer.expect_message(opcode, payload)
        peer.finish()
    return run


for opcode, word in ((TEXT, "text"), (BINARY, "binary")):
    shift = opcode - TEXT
    for index, size in enumerate(SIZES, 1):
        add("9.%d.%d" % (1 + shift, index), "%s of %d KiB" % (word, size // KIB),
            large(opcode, size))
    for index, size in enumerate(FRAGMENTS, 1):
        add("9.%d.%d" % (3 + shift, index), "%s of 4096 KiB in fragments of %d" % (word, size),
            large(opcode, 4 * MIB, size))
    for index, size in enumerate((64, 128, 256, 512, 1024, 2048), 1):
        add("9.%d.%d" % (5 + shift, index), "%s of 1024 KiB in writes of %d" % (word, size),
            large(opcode, MIB, how=size))
    for index, size in enumerate((0, 16, 64, 256, KIB, 4 * KIB), 1):
        add("9.%d.%d" % (7 + shift, index), "1000 times %s of %d bytes" % (word, size),
            many(opcode, size))

add("10.1.1", "a text of 65536 bytes in fragments of 1300",
    answers(fragments(TEXT, filler(TEXT, 65536), 1300), [(TEXT, filler(TEXT, 65536))]))

# Group 20: what else the RFC asks for.
add("20.1.1", "a frame that is masked or not as only the other side's may be",
    fails([text(HELLO, flip_mask=True)]))
add("20.1.2", "a text, then such a frame", fails([text(HELLO), ping(flip_mask=True)], before=BEFORE))
add("20.2.1", "5 bytes with a length of 16 bits", fails([text(b"Hello", length_bytes=2)]))
add("20.2.2", "125 bytes with a length of 16 bits", fails([text(b"*" * 125, length_bytes=2)]))
add("20.2.3", "5 bytes with a length of 64 bits", fails([text(b"Hello", length_bytes=8)]))
add("20.2.4", "65535 bytes with a length of 64 bits", fails([text(b"*" * 65535, length_bytes=8)]))
add("20.2.5", "a length with its top bit set", fails([binary(b"", announce=1 << 63)]))
add("20.3.1", "a length of 2^40 announced", fails([binary(b"", announce=1 << 40)], TOO_BIG))
add("20.3.2", "a length of 2^40 announced in a second fragment",
    fails([binary(b"*", False), Frame(CONTINUATION, announce=1 << 40)], TOO_BIG))
for index, code in enumerate((1012, 1013, 1014), 1):
    add("20.4.%d" % index, "close code %d" % code, closes(close(code), code))
add("20.4.4", "close code 1015", fails([close(1015)]))


@case("20.5.1", "500 messages and pings under way at once")
def _(peer):
    messages = [b"message %d" % index for index in range(500)]
    pings = [b"ping %d" % index for index in range(500)]
    pairs = zip(messages, pings)
    peer.send(*[frame for pair in pairs for frame in (text(pair[0]), ping(pair[1]))])
    got = [peer.next("500 messages and pongs") for _ in range(1000)]
    if [event[2] for event in got if event[0] == "message"] != messages:
        raise Failure("messages were lost or changed places")
    if [event[1] for event in got if event[0] == "pong"] != pings:
        raise Failure("pongs were lost or changed places")
    peer.finish()


@case("20.5.2", "a large message, and a close frame right behind it")
def _(peer):
    payload = filler(BINARY, peer.scaled(16 * MIB))
    peer.send(binary(payload), close(NORMAL))
    peer.expect_message(BINARY, payload)
    peer.expect_close()


@case("20.6.1", "the connection ends within a frame")
def _(peer):
    peer.write(text(HELLO).encode(peer.is_client)[:-1])
    peer.sock.shutdown(socket.SHUT_WR)
    peer.expect_quiet_end()


@case("20.6.2", "the connection ends without a close frame")
def _(peer):
    peer.sock.shutdown(socket.SHUT_WR)
    peer.expect_quiet_end()


@case("20.7.1", "a message right behind the answer to the upgrade", "client")
def _(peer):
    peer.send(text(HELLO))
    peer.expect_message(TEXT, HELLO)
    peer.finish()


@case("20.7.2", "a violation right behind the answer to the upgrade", "client")
def _(peer):
    peer.send(text(HELLO), text(HELLO, rsv=1))
    peer.expect_message(TEXT, HELLO)
    peer.expect_failure(PROTOCOL)


HELD_HEAD = ("20.7.1", "20.7.2")  # the answer goes out in one write with the first frame


@case("20.8.1", "every frame of a client has a mask of its own", "client")
def _(peer):
    for _ in range(100):
        peer.send(text(HELLO))
        peer.expect_message(TEXT, HELLO)
    peer.finish()
    if len(set(peer.masks)) < 100:  # equal by chance once in a million runs
        raise Failure("masks repeat: %d of %d differ" % (len(set(peer.masks)), len(peer.masks)))


# --------------------------------------------------------------------------------------- handshake

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def read_head(peer):
    """First line, and headers by lower-case name. What follows stays in the input."""
    while b"\r\n\r\n" not in peer.input:
        if peer.ended:
            raise Failure("the connection ended within the handshake")
        if not peer.fill():
            peer.wait(False, peer.deadline, "the handshake")
    head, rest = bytes(peer.input).split(b"\r\n\r\n", 1)
    peer.input = bytearray(rest)
    lines = head.split(b"\r\n")
    fields = [line.split(b":", 1) for line in lines[1:]]
    if any(len(field) != 2 for field in fields):
        raise Failure("a header line without a colon came")
    return lines[0], {name.lower(): value.strip() for name, value in fields}


def check_upgrade(headers):
    names = [name.strip().lower() for name in headers.get(b"connection", b"").split(b",")]
    if headers.get(b"upgrade", b"").lower() != b"websocket" or b"upgrade" not in names:
        raise Failure("no upgrade to a WebSocket: %r" % headers)


def shake_hands_as_client(peer, port):
    key = base64.b64encode(os.urandom(16))
    peer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
               b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"
               % (port, key))
    line, headers = read_head(peer)
    if not line.startswith(b"HTTP/1.1 101 "):
        raise Failure("the upgrade was refused: %r" % line)
    check_upgrade(headers)
    if headers.get(b"sec-websocket-accept") != accept_for(key):
        raise Failure("Sec-WebSocket-Accept is wrong")
    if b"sec-websocket-extensions" in headers or b"sec-websocket-protocol" in headers:
        raise Failure("the server chose something that was not offered")


def shake_hands_as_server(peer, hold):
    line, headers = read_head(peer)
    if not line.startswith(b"GET /") or not line.endswith(b" HTTP/1.1") or b"host" not in headers:
        raise Failure("not a request for an upgrade: %r" % line)
    check_upgrade(headers)
    key = headers.get(b"sec-websocket-key", b"")
    if headers.get(b"sec-websocket-version") != b"13" or len(base64.b64decode(key)) != 16:
        raise Failure("version or key of the upgrade is wrong: %r" % headers)
    if peer.input:
        raise Failure("the client did not wait for the answer")
    answer = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept_for(key))
    if hold:
        peer.pending_head = answer
    else:
        peer.write(answer)


def run_against_server(number, function, port, options):
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        peer = Peer(sock, True, options)
        shake_hands_as_client(peer, port)
        function(peer)


def run_against_client(number, function, command, options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        url = "ws://127.0.0.1:%d/%s" % (listener.getsockname()[1], number.replace(" ", "-"))
        process = subprocess.Popen(command + [url], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = b""
        try:
            with listener.accept()[0] as sock:
                peer = Peer(sock, False, options)
                shake_hands_as_server(peer, number in HELD_HEAD)
                function(peer)
            said = process.communicate(timeout=SECONDS)[1]
        except subprocess.TimeoutExpired:
            raise Failure("the client does not end")
        except socket.timeout:
            raise Failure("the client does not connect")
        finally:
            if process.returncode is None:
                process.kill()
                process.communicate()
        # 0 and 1 tell how the connection ended; anything else is a program that broke.
        if process.returncode not in (0, 1) or b"Sanitizer" in said or b"traceback" in said:
            raise Failure("the client ended with status %d: %s" % (
                process.returncode, said.decode(errors="replace")))


# --------------------------------------------------------------------------------------- the whole

def run_case(number, function, options):
    """Seconds it took, and what went wrong or None."""
    start, problem = time.monotonic(), None
    try:
        if options.side == "server":
            run_against_server(number, function, int(options.target[0]), options)
        else:
            run_against_client(number, function, options.target, options)
    except Failure as failure:
        problem = str(failure)
    except OSError as error:
        problem = "%s: %s" % (type(error).__name__, error)
    return time.monotonic() - start, problem


def is_chosen(number, only):
    return not only or any((number + ".").replace(" ", ".").startswith(part.rstrip(".") + ".")
                           for part in only.split(","))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--chunk", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("side", choices=("server", "client"))
    parser.add_argument("target", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    chosen = [entry for entry in CASES
              if is_chosen(entry[0], options.only) and entry[3] in (None, options.side)]
    if options.list:
        for number, title, _, _ in chosen:
            print(number, title)
        return 0
    if not options.target or not chosen:
        parser.error("nothing to test")
    failed, start = 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda entry: run_case(entry[0], entry[2], options), chosen)
        for (number, title, _, _), (seconds, problem) in zip(chosen, results):
            if problem:
                failed += 1
                print("FAILED %s, %s: %s" % (number, title, problem), flush=True)
            elif options.times and number.startswith("9."):
                print("%s, %s: %.3f s" % (number, title, seconds), flush=True)
    print("%s: %d cases, %d passed, %d failed, %.1f s" % (
        options.side, len(chosen), len(chosen) - failed, failed, time.monotonic() - start))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
