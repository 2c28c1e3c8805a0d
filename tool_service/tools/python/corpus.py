"""Ways out of the sandbox, as programs. Each prints `ESCAPED` or something that it must not know, should it succeed.

`selftest.py` runs them. Before each, `PREAMBLE` has run, and the names of `World` there are defined:

    CANARY, CANARY_FOLDER   a file of the service with a secret in it, and its folder
    SERVICE, ZYGOTE         numbers of the service's process and of the fork server
    SLEEPER                 a process of the service's user that must live, with its limits and its priority
    PORT, SOCKET            where the service listens: TCP on 127.0.0.1, and a path
    SHARED                  a file of the service in /dev/shm
    NEIGHBOUR, NEIGHBOUR_PID    the folder and the process of another interpreter, which holds a secret too
"""

from dataclasses import dataclass

PREAMBLE = """
import ctypes, errno, mmap, os, platform, resource, signal, socket, struct, subprocess, sys, threading, time
from contextlib import suppress
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
def call(x86, arm, *arguments):
    if (x86 if X86 else arm) is None:
        return -1
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return libc.syscall(ctypes.c_long(x86 if X86 else arm), *plain)
def escaped_if(is_so):
    if is_so:
        print("ESCAPED")
def show(path):
    print(open(path, "rb").read())
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A program that tries one way."""

    name: str
    code: str


def _attempts(text: str) -> list[Attempt]:
    """Programs with `## name` in front of each."""
    parts = [part.partition("\n") for part in ("\n" + text).split("\n## ")[1:]]
    return [Attempt(name.strip(), code) for name, _, code in parts]


FILES = _attempts("""
## read a file of the service
show(CANARY)
## read it through a path that climbs out
show("../" * 40 + CANARY)
## read it through a symbolic link
os.symlink(CANARY, "link"); show("link")
## read it through a hard link
os.link(CANARY, "hard"); show("hard")
## hard link it by descriptor
os.link("/proc/self/fd/0", "hard"); print("ESCAPED" if os.stat("hard").st_size else "")
## rename it into the own folder
os.rename(CANARY, "mine"); show("mine")
## rename the own folder out
os.rename(os.getcwd(), CANARY_FOLDER + "/mine"); print("ESCAPED")
## read it in a subprocess
print(subprocess.run(["cat", CANARY], capture_output=True).stdout)
## list the folder of the service
print("ESCAPED", os.listdir(CANARY_FOLDER))
## write into the folder of the service
open(CANARY_FOLDER + "/new", "w").write("x"); print("ESCAPED")
## change the file of the service
open(CANARY, "a").write("x"); print("ESCAPED")
## cut it short
os.truncate(CANARY, 0); print("ESCAPED")
## remove it
os.unlink(CANARY); print("ESCAPED")
## replace it with a link
os.symlink("/etc/passwd", "l"); os.replace("l", CANARY); print("ESCAPED")
## open it by its handle
handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128)); mount = ctypes.c_int()
if call(303, 264, -100, CANARY.encode(), handle, ctypes.byref(mount), 0) == 0:
    for way in range(3):
        fd = call(304, 265, os.open("/dev/null", os.O_RDONLY), handle, 0)
        if fd >= 0: print(os.read(fd, 100))
    print("ESCAPED")
## map it into memory
with open(CANARY, "rb") as f: print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:])
## read with openat2
how = ctypes.create_string_buffer(struct.pack("QQQ", 0, 0, 0))
fd = call(437, 437, -100, CANARY.encode(), how, 24)
if fd >= 0: print(os.read(fd, 100))
## open as a place only, and go on from there
fd = os.open(CANARY_FOLDER, os.O_PATH); print(os.read(os.open("canary", os.O_RDONLY, dir_fd=fd), 100))
## execute it
os.execv(CANARY, ["x"]); print("ESCAPED")
## users and passwords
for path in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"):
    with suppress(OSError): escaped_if(open(path).read())
## homes, variable data and what runs
for path in ("/", "/root", "/home", "/var", "/run", "/etc", "/tmp", "/sys", "/dev", "/boot", "/opt", "/srv", "/mnt"):
    with suppress(OSError): escaped_if(os.listdir(path) is not None)
## sources of the service
for name in ("tool_service", "protos", "gateway"):
    try: exec(f"import {name}")
    except ImportError: continue
    except PermissionError: continue
    print("ESCAPED", name)
## the service's key files by guess
for path in ("/run/secrets/key", "/var/run/docker.sock", "/root/.ssh/id_rsa", os.path.dirname(CANARY_FOLDER) + "/.env"):
    with suppress(OSError): open(path, "rb"); print("ESCAPED")
## write where packages are
import site
for path in [*sys.path, sys.prefix, "/usr/lib", "/usr/bin", "/usr/local/bin", "/usr/share"]:
    if path.startswith("/"):
        with suppress(OSError): open(path + "/conveyor_was_here", "w"); print("ESCAPED", path)
## a set-user-id copy of a shell
import shutil; shutil.copyfile("/bin/sh", "sh")
with suppress(OSError): os.chown("sh", 0, 0)
with suppress(OSError): os.chmod("sh", 0o4755)
print(subprocess.run(["./sh", "-pc", "id -u; cat " + CANARY], capture_output=True).stdout.replace(b"0", b"ESCAPED") if os.stat("sh").st_uid == 0 and os.getuid() != 0 else "")
## programs that run as root
for command in (["su", "-c", "echo ESCAPED"], ["mount", "-t", "tmpfs", "x", "."], ["umount", "/tmp"], ["sudo", "-n", "echo", "ESCAPED"]):
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
        escaped_if(done.returncode == 0)
## file capabilities and extended attributes
with suppress(OSError): os.setxattr(CANARY, "user.x", b"y"); print("ESCAPED")
with suppress(OSError): escaped_if(os.listxattr(CANARY))
## mode, owner and times of the service's file
before = os.stat(CANARY)
for change in (lambda: os.chmod(CANARY, 0o777), lambda: os.chown(CANARY, os.getuid(), os.getgid()), lambda: os.utime(CANARY, (1, 1))):
    with suppress(OSError): change()
after = os.stat(CANARY); escaped_if((before.st_mode, before.st_uid, before.st_mtime) != (after.st_mode, after.st_uid, after.st_mtime))
## mode of a file that is open for reading
f = open(os.__file__); before = os.fstat(f.fileno()).st_mode
with suppress(OSError): os.fchmod(f.fileno(), 0o777)
escaped_if(os.fstat(f.fileno()).st_mode != before)
## watch the folder of others
fd = call(294, 26, 0); escaped_if(fd >= 0 and call(254, 27, fd, b"/tmp", 0xFFF) >= 0)
## watch with fanotify
escaped_if(call(300, 262, 0x200, 0) >= 0)
## devices
os.mknod("disk", 0o600 | 0o060000, os.makedev(254, 0)); print("ESCAPED")
## disks, memory and terminals
for path in ("/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/dev/kvm", "/dev/net/tun"):
    with suppress(OSError): os.open(path, os.O_RDWR); print("ESCAPED", path)
""")

SECRETS = _attempts("""
## environment of the service
show(f"/proc/{SERVICE}/environ")
## own environment
print(dict(os.environ)); print(subprocess.run(["env"], capture_output=True).stdout)
## environment from the stack
e = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ"); n = 0
while e[n]: print(e[n]); n += 1
## own memory, where the service's environment might have stayed
import ctypes.util
start = ctypes.addressof(ctypes.c_char_p.in_dll(libc, "environ")) & ~0xFFF
print(ctypes.string_at(start, 4096))
## /proc of anyone
for name in ("self/maps", "self/environ", "self/mem", "1/environ", "cmdline", "version", "kallsyms", "mounts", "net/tcp"):
    with suppress(OSError): open("/proc/" + name, "rb"); print("ESCAPED", name)
## list processes
print("ESCAPED", os.listdir("/proc"))
## memory of the service
open(f"/proc/{SERVICE}/mem", "rb"); print("ESCAPED")
## the service's folder through its process
print("ESCAPED", os.listdir(f"/proc/{SERVICE}/root"), os.listdir(f"/proc/{ZYGOTE}/cwd"))
## descriptors of the fork server
for fd in range(0, 64):
    with suppress(OSError): os.open(f"/proc/{ZYGOTE}/fd/{fd}", os.O_RDONLY); print("ESCAPED")
## descriptors that were left open
for fd in range(3, 1024):
    with suppress(OSError):
        status = os.fstat(fd); escaped_if(not os.path.samestat(status, os.fstat(fd)) or status.st_mode & 0o170000 in (0o100000, 0o040000))
## speak to the fork server
for fd in range(3, 1024):
    with suppress(OSError):
        s = socket.socket(fileno=os.dup(fd)); escaped_if(s.type == socket.SOCK_SEQPACKET)
## the kernel's log
buffer = ctypes.create_string_buffer(4096); escaped_if(call(103, 116, 3, buffer, 4096) > 0)
## keys of the user's session
escaped_if(call(250, 219, 0, -3, 1) > 0); escaped_if(call(248, 217, b"user", b"k", b"v", 1, -3) > 0)
""")

NETWORK = _attempts("""
## TCP to a port of the service
s = socket.create_connection(("127.0.0.1", PORT), 2); print("ESCAPED")
## the cloud's metadata
s = socket.create_connection(("169.254.169.254", 80), 2); print("ESCAPED")
## UDP
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x", ("127.0.0.1", 53)); print("ESCAPED")
## sockets of every family
for family in range(0, 50):
    for kind in (1, 2, 3, 5):
        for protocol in (0, 1, 6, 17, 58, 255):
            with suppress(OSError): socket.socket(family, kind, protocol); print("ESCAPED", family, kind)
## netlink, by raw system call
escaped_if(call(41, 198, 16, 3, 0) >= 0)
## packets
escaped_if(call(41, 198, 17, 3, 0x0300) >= 0)
## vsock
escaped_if(call(41, 198, 40, 1, 0) >= 0)
## a pair of another family
for family in (2, 10, 16, 17, 38, 40): escaped_if(call(53, 199, family, 1, 0, ctypes.create_string_buffer(8)) >= 0)
## Unix socket by path
s = socket.socket(socket.AF_UNIX); s.connect(SOCKET); print("ESCAPED")
## send from a pair to a path
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for target in (SOCKET, "/dev/log", "/run/systemd/notify", chr(0) + "conveyor"):
    with suppress(PermissionError): a.sendto(b"x", target); print("ESCAPED")
## connect one of a pair
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.connect(SOCKET); print("ESCAPED")
## listen
a, b = socket.socketpair(); a.bind("here"); a.listen(); print("ESCAPED")
## abstract socket
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind(chr(0) + "conveyor-canary"); print("ESCAPED")
## hand a descriptor over
a, b = socket.socketpair(); socket.send_fds(a, [b"x"], [0]); print("ESCAPED")
## io_uring
escaped_if(call(425, 425, 8, ctypes.create_string_buffer(256)) >= 0)
## in a subprocess
print(subprocess.run([sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 2); print('ESCAPED')"], capture_output=True).stdout)
""")

PROCESSES = _attempts("""
## kill the service
for pid in (SERVICE, ZYGOTE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): os.kill(pid, signal.SIGKILL)
## kill everything
os.kill(-1, signal.SIGTERM)
## signal, by every call
for pid in (SERVICE, ZYGOTE, SLEEPER, NEIGHBOUR_PID):
    info = ctypes.create_string_buffer(struct.pack("iii", 15, 0, -1) + bytes(116))
    escaped_if(call(62, 129, pid, 0) >= 0); escaped_if(call(200, 130, pid, 0) >= 0); escaped_if(call(234, 131, pid, pid, 0) >= 0)
    escaped_if(call(129, 138, pid, 0, info) >= 0); escaped_if(call(297, 240, pid, pid, 0, info) >= 0)
## signal through a process's descriptor
for pid in (SERVICE, ZYGOTE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): signal.pidfd_send_signal(os.pidfd_open(pid), 0); print("ESCAPED")
## signal another group
os.killpg(SLEEPER, 0); print("ESCAPED")
## be told of input in another's name
import fcntl
a, b = socket.socketpair(); fcntl.fcntl(a, fcntl.F_SETOWN, SLEEPER); fcntl.fcntl(a, 10, signal.SIGTERM)
fcntl.fcntl(a, fcntl.F_SETFL, fcntl.fcntl(a, fcntl.F_GETFL) | os.O_ASYNC); b.send(b"x"); time.sleep(0.1)
## ptrace
for pid in (SERVICE, ZYGOTE, SLEEPER, NEIGHBOUR_PID): escaped_if(call(101, 117, 16, pid, 0, 0) >= 0); escaped_if(call(101, 117, 0x4206, pid, 0, 0) >= 0)
## read another's memory
local = ctypes.create_string_buffer(64); one = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(local), 64))
for pid in (SERVICE, ZYGOTE, SLEEPER, NEIGHBOUR_PID): escaped_if(call(310, 270, pid, one, 1, one, 1, 0) > 0); escaped_if(call(311, 271, pid, one, 1, one, 1, 0) > 0)
## take another's descriptor
for pid in (SERVICE, ZYGOTE, NEIGHBOUR_PID):
    with suppress(OSError):
        fd = os.pidfd_open(pid)
        for number in range(16): escaped_if(call(438, 438, fd, number, 0) >= 0)
## renice others
for pid in (SERVICE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): os.setpriority(os.PRIO_PROCESS, pid, 19); print("ESCAPED")
with suppress(OSError): os.setpriority(os.PRIO_USER, 0, 19); print("ESCAPED")
## limits of others
for pid in (SERVICE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3)); print("ESCAPED")
## processors of others
for pid in (SERVICE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): os.sched_setaffinity(pid, {0}); print("ESCAPED")
## scheduling of others
for pid in (SERVICE, SLEEPER, NEIGHBOUR_PID):
    with suppress(OSError): os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)); print("ESCAPED")
## input and output priority of others
escaped_if(call(251, 30, 1, SLEEPER, 0x6007) == 0)
## leave the group
for leave in (os.setsid, os.setpgrp, lambda: os.setpgid(0, 0)):
    with suppress(OSError): leave(); print("ESCAPED")
## a process that stays behind
pid = os.fork()
if pid == 0:
    with suppress(OSError): os.setsid(); print("ESCAPED")
    if os.fork() == 0: time.sleep(600)
    os._exit(0)
## live on without the parent
escaped_if(libc.prctl(1, 0, 0, 0, 0) == 0)
## raise the own limits
for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
    with suppress(OSError, ValueError): resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2); print("ESCAPED")
## children of the fork server
for n in range(50):
    pid = call(56, 220, 0x8000 | 17, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    escaped_if(pid > 0)
## keep others from opening a file
import fcntl
fd = os.open(os.__file__, os.O_RDONLY)
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    with suppress(OSError): fcntl.fcntl(fd, fcntl.F_SETLEASE, kind); print("ESCAPED")
with suppress(OSError): fcntl.fcntl(os.open(".", os.O_RDONLY), fcntl.F_NOTIFY, 0x8000001F); print("ESCAPED")
## compare processes
escaped_if(call(312, 272, SERVICE, ZYGOTE, 1, 0, 0) >= 0)
## another user
for change in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    with suppress(OSError): change(); escaped_if(os.getuid() == 0 and change is not None)
## move another's pages
escaped_if(call(279, 239, SLEEPER, 0, 0, 0, 0, 0) >= 0); escaped_if(call(256, 238, SLEEPER, 8, ctypes.c_ulong(1), ctypes.c_ulong(1)) >= 0)
""")

NEIGHBOURS = _attempts("""
## list folders of others
print("ESCAPED", os.listdir(os.path.dirname(NEIGHBOUR)))
## read a neighbour's files
show(NEIGHBOUR + "/work/secret")
## list a neighbour's folder
print("ESCAPED", os.listdir(NEIGHBOUR + "/work"))
## write into a neighbour's folder
open(NEIGHBOUR + "/work/planted.py", "w").write("x"); print("ESCAPED")
## close a neighbour's folder
before = os.stat(NEIGHBOUR).st_mode
with suppress(OSError): os.chmod(NEIGHBOUR, 0)
escaped_if(os.stat(NEIGHBOUR).st_mode != before)
## shared memory by its folder
for path in (SHARED, "/dev/shm/conveyor-mine"):
    with suppress(OSError): open(path, "a+b"); print("ESCAPED")
## shared memory by name
from multiprocessing import shared_memory
shared_memory.SharedMemory("conveyor-canary", create=True, size=10); print("ESCAPED")
## semaphores by name
libc.sem_open.restype = ctypes.c_void_p; escaped_if(libc.sem_open(b"/conveyor-canary", os.O_CREAT, 0o666, 1))
## System V memory, semaphores and messages
escaped_if(call(29, 194, 0x4711, 4096, 0o1666) >= 0); escaped_if(call(64, 190, 0x4711, 1, 0o1666) >= 0); escaped_if(call(68, 186, 0x4711, 0o1666) >= 0)
## message queues
escaped_if(call(240, 180, b"conveyor-canary", os.O_CREAT | os.O_RDWR, 0o666, None) >= 0)
## memory without a name
escaped_if(call(319, 279, b"x", 0) >= 0); escaped_if(call(447, 447, 0) >= 0)
## run a program from memory
fd = call(319, 279, b"x", 0)
if fd >= 0: os.write(fd, open("/bin/true", "rb").read()); os.execve(fd, ["x"], {})
print("ESCAPED" if fd >= 0 else "")
## a secret in the memory that forks share
import gc
for thing in gc.get_objects():
    if type(thing) is dict and "neighbours_secret" in thing: print(thing["neighbours_secret"])
""")

KERNEL = _attempts("""
## mount
for kind in (b"tmpfs", b"proc", b"sysfs", b"overlay"): escaped_if(call(165, 40, b"x", b".", kind, 0, None) == 0)
## bind a folder
escaped_if(call(165, 40, CANARY_FOLDER.encode(), b".", None, 4096, None) == 0)
## unmount
escaped_if(call(166, 39, b"/tmp", 2) == 0)
## the new way to mount
escaped_if(call(430, 430, b"tmpfs", 0) >= 0); escaped_if(call(428, 428, -100, b"/", 1) >= 0); escaped_if(call(429, 429, 0, b"", 0, b"", 0) >= 0); escaped_if(call(442, 442, -100, b"/", 0, None, 0) >= 0)
## unshare each kind of namespace
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x80): escaped_if(call(272, 97, flag) == 0)
## clone into namespaces
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000):
    pid = call(56, 220, flag | 17, 0, 0, 0, 0)
    if pid == 0: print("ESCAPED", flush=True); os._exit(0)
    escaped_if(pid > 0)
## clone3 into namespaces
arguments = ctypes.create_string_buffer(struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0))
pid = call(435, 435, arguments, 64)
if pid == 0: os._exit(0)
escaped_if(pid > 0)
## join namespaces
with suppress(OSError): escaped_if(call(308, 268, os.pidfd_open(SERVICE), 0x20000) == 0)
for kind in ("mnt", "pid", "user", "net"):
    with suppress(OSError): escaped_if(call(308, 268, os.open(f"/proc/{SERVICE}/ns/{kind}", os.O_RDONLY), 0) == 0)
## chroot and back
for root in (".", "/"):
    with suppress(OSError): os.chroot(root); print("ESCAPED")
## pivot_root
escaped_if(call(155, 41, b".", b".") == 0)
## bpf
escaped_if(call(321, 280, 0, ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1) + bytes(112)), 128) >= 0)
## userfaultfd
escaped_if(call(323, 282, 1) >= 0)
## perf events
escaped_if(call(298, 241, ctypes.create_string_buffer(struct.pack("II", 1, 112) + bytes(104)), 0, -1, -1, 0) >= 0)
## modules and kexec
escaped_if(call(175, 105, b"", 0, b"") == 0); escaped_if(call(313, 273, 0, b"", 0) == 0); escaped_if(call(246, 104, 0, 0, None, 0) == 0)
## reboot
escaped_if(call(169, 142, 0xFEE1DEAD - (1 << 32), 672274793, 0, 0) == 0)
## clock and name of the machine
with suppress(OSError): time.clock_settime(time.CLOCK_REALTIME, time.time()); print("ESCAPED")
with suppress(OSError): socket.sethostname("x"); print("ESCAPED")
## ports of the machine
escaped_if(call(172, None, 3) == 0); escaped_if(call(173, None, 0x80, 1, 1) == 0)
## another personality
escaped_if(call(135, 92, 0x0400000) >= 0)
## quotas, accounting, swap
escaped_if(call(163, 89, b"acct") == 0); escaped_if(call(167, 224, b"x", 0) == 0); escaped_if(call(179, 60, 0x800001, None, 0, None) == 0)
## segments of the old machine
escaped_if(call(154, None, 1, ctypes.create_string_buffer(16), 16) == 0)
## the 32-bit door
if X86:
    m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex("b814000000cd80c3"))  # getpid there
    print("ESCAPED", ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())
## the x32 door
if X86: escaped_if(call(0x40000000 + 39, None) >= 0); escaped_if(call(0x40000000 + 41, None, 2, 1, 0) >= 0)
## numbers that nobody knows yet
for number in (*range(470, 600), 1000, 0x7FFFFFFF): escaped_if(call(number, number, 0, 0, 0) >= 0)
## a system call through own machine code
if X86:
    m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex("b829000000bf02000000be0100000031d20f05c3"))  # socket
    escaped_if(ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))() >= 0)
## take the filter off
escaped_if(libc.prctl(22, 0, 0, 0, 0) == 0); escaped_if(libc.prctl(38, 0, 0, 0, 0) == 0)
## a filter of one's own that allows all
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)); program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0); escaped_if(call(41, 198, 2, 1, 0) >= 0)
## a fence of one's own with more in it
ruleset = call(444, 444, ctypes.create_string_buffer(struct.pack("Q", 4)), 8, 0)
fd = os.open("/", os.O_PATH); call(445, 445, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", 4, fd)), 0); call(446, 446, ruleset, 0); show(CANARY)
## capabilities back
escaped_if(libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6)) == 0)
## huge mappings in a device
fd = os.open("/dev/zero", os.O_RDWR); import fcntl
with suppress(OSError): fcntl.ioctl(fd, 0x5412, b"x"); print("ESCAPED")
""")

PYTHON = _attempts("""
## subclasses to a file reader
for each in ().__class__.__base__.__subclasses__():
    if each.__name__ == "FileLoader": print(each("x", CANARY).get_data(CANARY))
## subclasses to subprocess
print(next(c for c in object.__subclasses__() if c.__name__ == "Popen")(["cat", CANARY], stdout=-1).communicate()[0])
## globals of a function of the standard library
print(os.walk.__globals__["sys"].modules["builtins"].open(CANARY).read())
## a format string
class F:
    def __init__(self): pass
print("{0.__init__.__globals__[os].environ}".format(F())); print("{0.__init__.__globals__[CANARY]}"[:0].format(F()) + open(CANARY).read())
## except* and its traceback
try:
    raise ExceptionGroup("x", [ValueError(1)])
except* ValueError as group:
    frame = group.__traceback__.tb_frame
    while frame:
        if "SELFTEST_SECRET" in str(frame.f_globals.get("os", os).environ): print("ESCAPED")
        frame = frame.f_back
    print(frame.f_builtins["open"](CANARY).read() if frame else open(CANARY).read())
## the frame of a generator
def g(): yield gi.gi_frame.f_back
gi = g(); frame = next(gi); found = []
while frame:
    found += [value for value in frame.f_locals.values() if isinstance(value, socket.socket)]
    frame = frame.f_back
for s in found:
    with suppress(OSError): s.send(b'{"bury": 1}'); print("ESCAPED")
## objects of the collector
import gc
for thing in gc.get_objects():
    if isinstance(thing, socket.socket):
        with suppress(OSError): thing.send(b'{"bury": 1}'); print("ESCAPED")
## referrers of the fork server's objects
import gc
for frame in sys._current_frames().values():
    while frame:
        for value in list(frame.f_globals.values()) + list(frame.f_locals.values()):
            if type(value).__name__ == "Zygote":
                with suppress(OSError, ValueError): value._service.send(b'{"bury": 1}'); print("ESCAPED")
        frame = frame.f_back
## an audit hook
sys.addaudithook(lambda name, arguments: None); show(CANARY)
## write into the interpreter with ctypes
ctypes.pythonapi.PyFrame_GetBack; ctypes.memset(id(0) + 0, 0, 0); number = 10**9; ctypes.c_long.from_address(id(number) + 24).value = 0; show(CANARY)
## a code object of one's own
code = (lambda: None).__code__.replace(co_code=bytes([151, 0, 100, 0, 83, 0])); type(lambda: 0)(code, {})(); show(CANARY)
## a broken code object
type(lambda: 0)((lambda: None).__code__.replace(co_code=bytes([100, 200, 83, 0]), co_consts=()), {})(); print("ESCAPED")
## builtins of a module that imported them before
import importlib; print(importlib._bootstrap_external.FileLoader("x", CANARY).get_data(CANARY))
## a module loaded as a library
import importlib.machinery
importlib.machinery.ExtensionFileLoader("x", CANARY).create_module(importlib.machinery.ModuleSpec("x", None, origin=CANARY)); print("ESCAPED")
## a library of one's own
ctypes.CDLL(CANARY); print("ESCAPED")
## LD_PRELOAD into a program that runs as root
print(subprocess.run(["su", "--version"], env={"LD_PRELOAD": CANARY}, capture_output=True).stdout.replace(b"su from", b""))
## pickles
import pickle
class P:
    def __reduce__(self): return (eval, (f"open({CANARY!r}).read()",))
print(pickle.loads(pickle.dumps(P())))
## numpy's and pandas' readers
import numpy, pandas
for read in (lambda: numpy.fromfile(CANARY, dtype="u1").tobytes(), lambda: pandas.read_csv(CANARY), lambda: numpy.memmap(CANARY, mode="r").tobytes(), lambda: pandas.read_csv(f"http://127.0.0.1:{PORT}/")):
    with suppress(OSError): print("ESCAPED", read())
## matplotlib's reader
import matplotlib.image
matplotlib.image.imread(CANARY); print("ESCAPED")
## sqlite's files
import sqlite3
sqlite3.connect(CANARY_FOLDER + "/new.db").execute("create table t(x)"); print("ESCAPED")
## speak in the interpreter's name
for fd in range(3, 64):
    with suppress(OSError): os.write(fd, b"\\xff\\xff\\xff\\xffI"); os.write(fd, b"x" * 100)
""")

BOMBS = _attempts("""
## fork bomb
n = 0
with suppress(OSError):
    while n < 1000:
        if os.fork() == 0: time.sleep(600)
        n += 1
escaped_if(n >= 1000)
## fork bomb that grows
while True:
    with suppress(OSError): os.fork()
## thread bomb
n = 0
with suppress(RuntimeError, MemoryError):
    for n in range(2000): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
time.sleep(1); escaped_if(n >= 1000)
## 10 GB in one process
x = [bytearray(1 << 30) for _ in range(10)]; print("ESCAPED")
## 10 GB in small pieces
x = []
while True: x.append(bytearray(1 << 20)); escaped_if(len(x) > 2000)
## 10 GB in many processes
for n in range(40):
    if os.fork() == 0: x = bytearray(b"x" * (250 << 20)); time.sleep(600)
time.sleep(5); print("ESCAPED")
## 10 GB in shared mappings
ms = []
for n in range(10): ms.append(mmap.mmap(-1, 1 << 30)); ms[-1][:] = bytes(1) * (1 << 30)
print("ESCAPED")
## endless loop
end = time.monotonic() + 15
while time.monotonic() < end: pass
print("ESCAPED")
## endless loop in C
sum(range(10**11)); print("ESCAPED")
## a full disk in one file
with open("f", "wb") as f:
    for _ in range(1000): f.write(bytes(1 << 20))
print("ESCAPED")
## a full disk in many files
for n in range(1000):
    with open(str(n), "wb") as f: f.write(bytes(8 << 20))
print("ESCAPED")
## a full disk in files that are gone
fs = []
for n in range(200):
    fs.append(open(str(n), "wb")); os.unlink(str(n)); fs[-1].write(bytes(8 << 20)); fs[-1].flush()
time.sleep(3); print("ESCAPED")
## a full disk in files that are gone and closed, but mapped
ms = []
for n in range(100):
    f = open(str(n), "w+b"); f.truncate(4 << 20); ms.append(mmap.mmap(f.fileno(), 0)); f.close(); os.unlink(str(n)); ms[-1][:] = bytes(4 << 20)
time.sleep(3); print("ESCAPED")
## a full disk in empty files
for n in range(100_000): open(str(n), "w").close()
print("ESCAPED")
## a full disk in folders
for n in range(100_000): os.makedirs(f"{n}/a/b")
print("ESCAPED")
## a deep folder
for n in range(20_000): os.mkdir("d"); os.chdir("d")
print("ESCAPED")
## a sparse file
with open("f", "wb") as f: f.truncate(1 << 40)
print("ESCAPED")
## output without an end
while True: print("x" * 1_000_000)
## recursion without an end
sys.setrecursionlimit(10**9)
def f(): return f()
f()
## ignore the signals that end it
for number in range(1, 65):
    with suppress(OSError, ValueError): signal.signal(number, signal.SIG_IGN)
while True: pass
## memory that is shared and let go
def hog():
    m = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, 8 << 20): m[at:at + (8 << 20)] = b"x" * (8 << 20); m.madvise(mmap.MADV_DONTNEED, at, 8 << 20)
    return m
ms = [hog() for _ in range(3)]; time.sleep(2); print("ESCAPED")
## memory that is shared and let go, in pieces
ms = []
for n in range(120):
    ms.append(mmap.mmap(-1, 16 << 20)); ms[-1][:] = bytes(b"x") * (16 << 20); ms[-1].madvise(mmap.MADV_DONTNEED)
time.sleep(3); print("ESCAPED")
## memory mapped from a device
fd = os.open("/dev/zero", os.O_RDWR); m = mmap.mmap(fd, 64 << 20); print("ESCAPED")
## memory in the buffers of sockets
for n in range(40):
    if os.fork() == 0:
        pairs = []
        with suppress(OSError):
            while True: pairs.append(socket.socketpair())
        for each in [end for pair in pairs for end in pair]:
            each.setblocking(False)
            with suppress(OSError):
                while True: each.send(bytes(65536))
        time.sleep(600)
time.sleep(5); print("ESCAPED")
## larger buffers for sockets
a, b = socket.socketpair()
for option in (7, 8, 32, 33):
    with suppress(OSError): a.setsockopt(socket.SOL_SOCKET, option, 1 << 22); print("ESCAPED")
## memory of a process whose first thread has ended
for n in range(4):
    if os.fork() == 0:
        def hog(): time.sleep(0.3); x = bytearray(b"x") * (400 << 20); time.sleep(600)
        threading.Thread(target=hog).start(); call(60, 93, 0)
time.sleep(6); print("ESCAPED")
## a full disk, reserved
for n in range(40):
    fd = os.open(str(n), os.O_RDWR | os.O_CREAT); escaped_if(call(285, 47, fd, 0, 0, 15 << 20) == 0)
## a full disk in files of a process that hides itself
for name in ("sh", "dd", "sleep"):
    fd = os.open("x" + name, os.O_WRONLY | os.O_CREAT, 0o111); os.write(fd, open("/bin/" + name, "rb").read()); os.close(fd)
pids = []
for n in range(12):
    fd = os.open("g", os.O_RDWR | os.O_CREAT); os.unlink("g"); pid = os.fork(); pids.append(pid)
    if pid == 0:
        with suppress(OSError): os.dup2(fd, 1); os.execv("./xsh", ["xsh", "-c", "./xdd if=/dev/urandom bs=1M count=15; exec ./xsleep 60"])
        os._exit(1)  # where no program in the folder can be run
    os.close(fd)
time.sleep(8); escaped_if(sum(os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in pids) * 15 > 100)
## a thread with descriptors of its own
escaped_if(call(56, 220, 0x10000 | 0x800 | 0x100, -1, 0, 0, 0) > 0 or ctypes.get_errno() != errno.EPERM)
escaped_if(call(436, 436, 200, 210, 2) == 0)
## mappings without an end, in many processes
libc.mmap.restype = ctypes.c_void_p; libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
f = open("f", "w+b"); f.truncate(8192); os.unlink("f")
for n in range(60000): libc.mmap(None, 4096, 1 + 2 * (n & 1), 1, f.fileno(), 0)
for n in range(20):
    if os.fork() == 0: time.sleep(600)
time.sleep(6); print("ESCAPED")
## a flood of figures
import stat
for n in range(3, 128):
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(n).st_mode): control = n; break
while True: os.write(control, b"\\0\\0\\0\\x01I" * 13000)
## half a frame
import stat
for n in range(3, 128):
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(n).st_mode): os.write(n, b"\\0\\0\\x10"); break
time.sleep(7); print("ESCAPED")
## a grandchild that keeps the channel
if libc.fork() == 0: time.sleep(600)
os._exit(3)
## a process that clears its name and waits
libc.prctl(15, b"systemd", 0, 0, 0)
if os.fork() == 0: time.sleep(600)
""")

CORPUS = {
    "files": FILES,
    "secrets": SECRETS,
    "network": NETWORK,
    "processes": PROCESSES,
    "neighbours": NEIGHBOURS,
    "kernel": KERNEL,
    "python": PYTHON,
    "bombs": BOMBS,
}
