"""wire.py -- a wire between two network namespaces, with a delay and a rate; SIGUSR1 cuts it, a second one mends it

    wire.py NAMESPACE ADDRESS/BITS NAMESPACE ADDRESS/BITS MILLISECONDS MEGABITS

It is made of a tunnel device in each, so that it needs no queueing discipline of the kernel. Prints "up" when it is.
"""
import collections, ctypes, fcntl, os, select, signal, struct, subprocess, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    fd = namespace if isinstance(namespace, int) else os.open("/run/netns/" + namespace, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def end(namespace, address):
    """The end of the wire in a namespace, as a file of packets."""
    enter(namespace)
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", b"wire0", IFF_TUN | IFF_NO_PI))
    for command in (["ip", "addr", "add", address, "dev", "wire0"], ["ip", "link", "set", "wire0", "up"],
                    ["ip", "link", "set", "lo", "up"]):
        subprocess.run(command, check=True)
    os.set_blocking(fd, False)
    return fd


class Way:
    """Packets from one end to the other: each takes its time on the wire, then the delay."""

    def __init__(self, source, target):
        self.source, self.target, self.free, self.queue = source, target, 0.0, collections.deque()

    def take(self, now):
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            self.free = max(self.free, now) + len(packet) / rate
            if not cut and len(self.queue) < 5000:
                self.queue.append((self.free + delay, packet))

    def give(self, now):
        while self.queue and self.queue[0][0] <= now:
            try:
                os.write(self.target, self.queue.popleft()[1])
            except OSError:
                pass  # a packet is lost


def toggle(number, frame):
    global cut
    cut = not cut
    for way in ways:
        way.queue.clear()


cut, home = False, os.open("/proc/self/ns/net", os.O_RDONLY)
a, b = end(sys.argv[1], sys.argv[2]), end(sys.argv[3], sys.argv[4])
delay, rate = float(sys.argv[5]) / 1e3, float(sys.argv[6]) * 1e6 / 8
enter(home)  # this process is none of the hosts'
ways = [Way(a, b), Way(b, a)]
signal.signal(signal.SIGUSR1, toggle)
print("up", flush=True)
while True:
    wait = min([0.5] + [way.queue[0][0] - time.monotonic() for way in ways if way.queue])
    select.select([a, b], [], [], max(0.0, wait))
    now = time.monotonic()
    for way in ways:
        way.take(now)
        way.give(now)
