"""Gives up root for a server that refuses to run as root, and keeps what it needs to read its own program.

The usual way is a user of its own and wider permissions all the way up to `/`, so that this user finds programs and data below
somebody's home. The lab changes no permissions and makes no users: it becomes `nobody`, and keeps the one capability that lets it
pass through directories (CAP_DAC_OVERRIDE), as an ambient one, which survives the execution of the server.
"""

from __future__ import annotations

import ctypes
import os
import pwd

_NOBODY = "nobody"
_CAP_DAC_OVERRIDE = 1
# From linux/prctl.h, linux/securebits.h and linux/capability.h.
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECUREBITS = 1, 2, 8, 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def drop_root() -> None:
    """Become `nobody` for good, if this process is root; keep the way through directories where the kernel allows it."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    death_signal = ctypes.c_int()
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(death_signal), 0, 0, 0)
    nobody = pwd.getpwnam(_NOBODY)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    # Else access(2), by which initdb looks for its programs, answers as if there were no capability.
    libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
    _keep_only(libc, 1 << _CAP_DAC_OVERRIDE)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
    # A change of user makes the kernel forget to end this process with its parent.
    libc.prctl(_PR_SET_PDEATHSIG, death_signal.value, 0, 0, 0)


def _keep_only(libc: ctypes.CDLL, capabilities: int) -> None:
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(_Sets(capabilities, capabilities, capabilities), _Sets(0, 0, 0))
    libc.capset(ctypes.byref(header), sets)
