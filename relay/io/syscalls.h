/* syscalls.h - the system calls that are left to the daemon.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The door to libseccomp.  Calls are allowed by class: files, sockets, waiting, threads,
 * memory, time; with them come no new programs and processes, no signals to others, no
 * memory that is both written and run.  Of the rest
 *
 *	what only an intruder calls (execve, ptrace, mount, bpf, ...) ends the process,
 *	anything else is answered ENOSYS, as by a kernel that does not have it.
 *
 * So a library that tries what is new goes on without it, and a call that was forgotten
 * here costs that one operation, not the relay.                             */
#ifndef RW_IO_SYSCALLS_H
#define RW_IO_SYSCALLS_H

#include "base/status.h"

/* From now on, in this thread and those that it starts; there is no way back.
 * ST_SYSTEM with errno as it was, ST_NO_MEMORY. */
enum status syscalls_limit(void);

#endif
