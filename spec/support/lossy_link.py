"""A network of two hosts on which packets are late and get lost: lossy_link.py NEAR FAR.

Makes two TUN devices of these names and passes packets from one to the other. FAR is moved into another
network namespace by whoever starts this; it stays connected. Prints "ready", then obeys lines on standard
input: "loss 0.1" (of all packets), "delay 0.02" (seconds, each way). Never changes the order. Ends with
its input.
"""
import collections
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def main(near_name, far_name):
    near, far = open_tun(near_name), open_tun(far_name)
    other = {near: far, far: near}
    late = collections.deque()  # (due, target, packet): one delay for all, so in order
    loss, delay = 0.0, 0.0
    chance = random.Random(4711)
    print("ready", flush=True)
    text = b""
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        ready, _, _ = select.select([near, far, 0], [], [], wait)
        if 0 in ready:
            got = os.read(0, 4096)
            if not got:
                return
            text += got
            *lines, text = text.split(b"\n")
            for line in lines:
                word, value = line.split()
                if word == b"loss":
                    loss = float(value)
                else:
                    delay = float(value)
        for fd in ready:
            if fd == 0:
                continue
            try:
                packet = os.read(fd, 65536)
            except OSError:  # the device is down
                time.sleep(0.01)
                continue
            if chance.random() >= loss:
                late.append((time.monotonic() + delay, other[fd], packet))
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, target, packet = late.popleft()
            try:
                os.write(target, packet)
            except OSError:
                pass  # its device is down, or has no room: the packet is lost


main(sys.argv[1], sys.argv[2])
