"""Becomes a container's process: run as `python -I -S launch.py PARENT_PID [--gate FD] COMMAND…`.

The process asks the kernel to be killed when the lab's supervisor dies, puts its connections before the node's gate (gate.py),
makes a terminal that it was given its own, and executes the command. A small program does this, and not a function between fork
and exec, because the supervisor has threads. It imports nothing of the project, to start fast.
"""

import _socket
import ctypes
import fcntl
import os
import signal
import struct
import sys
import termios

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF: ld [k], jeq k, ret k
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in the kernel's struct seccomp_data
# Of each architecture: its name in the kernel's audit, and its numbers of the calls connect and seccomp.
_CALLS = {"x86_64": (0xC000003E, 42, 317), "aarch64": (0xC00000B7, 203, 277)}
# Python ignores some of them, and a lab that was started in the background others; a container begins anew.
_RESET = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def main() -> None:
    """Tie this process to its parent, and execute the command; exits 127 or 126 like a shell when that is impossible."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    if command[0] == "--gate":
        hand_over(notifications(), through=int(command[1]))
        command = command[2:]
    if os.isatty(0):
        # Only a session's own terminal turns Ctrl-C into a signal.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in _RESET:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        sys.exit(127)
    except OSError:
        sys.exit(126)


def notifications() -> int:
    """Let each `connect` of this process and its children wait for a word, and give the descriptor that tells of them.

    -1 where the kernel does not do that: on other processors, or where another filter of this kind is in place.
    """
    machine = os.uname().machine
    if machine not in _CALLS:
        return -1
    architecture, connect, seccomp = _CALLS[machine]
    rules = (
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 0, 3, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_EQUAL, 0, 1, connect),
        (_RETURN, 0, 0, _NOTIFY),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
    kernel = ctypes.CDLL(None)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # else only root may set a filter
    return int(kernel.syscall(seccomp, _SET_MODE_FILTER, _NEW_LISTENER, program))


def hand_over(descriptor: int, *, through: int) -> None:
    """Send the descriptor to the node through a socket, or a word without one."""
    passed = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))] if descriptor >= 0 else []
    channel = _socket.socket(fileno=through)
    channel.sendmsg([b"gate" if passed else b"none"], passed)
    channel.close()


main()
