/* syscalls.c - a filter of system calls.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A name that the architecture does not have is passed over, and so is one that this
 * libseccomp has not heard of yet. */
#include "io/syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/sockios.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const allowed[] = {
	/* files */
	"_llseek", "access", "arm_fadvise64_64", "close", "close_range",
	"copy_file_range", "dup", "dup2", "dup3", "faccessat", "faccessat2",
	"fadvise64", "fadvise64_64", "fallocate", "fchmod", "fchmodat", "fcntl",
	"fcntl64", "fdatasync", "flock", "fstat", "fstat64", "fstatat64",
	"fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "getcwd",
	"getdents", "getdents64", "lseek", "lstat", "lstat64", "mkdir", "mkdirat",
	"newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "pread64",
	"preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read",
	"readahead", "readlink", "readlinkat", "readv", "rename", "renameat",
	"renameat2", "rmdir", "stat", "stat64", "statfs", "statfs64", "statx",
	"sync_file_range", "sync_file_range2", "truncate", "truncate64", "umask",
	"unlink", "unlinkat", "utimensat", "utimensat_time64", "write", "writev",
	/* sockets, but for what a new one may be */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname",
	"getsockopt", "listen", "recv", "recvfrom", "recvmmsg",
	"recvmmsg_time64", "recvmsg", "send", "sendfile", "sendfile64",
	"sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "splice",
	/* waiting */
	"_newselect", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2",
	"inotify_add_watch", "inotify_init1", "inotify_rm_watch", "poll",
	"ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select",
	"signalfd", "signalfd4", "timerfd_create", "timerfd_gettime",
	"timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
	/* threads and signals, but for beginning the ones and sending the others */
	"arch_prctl", "exit", "exit_group", "futex", "futex_requeue",
	"futex_time64", "futex_wait", "futex_waitv", "futex_wake",
	"get_robust_list", "getcpu", "gettid", "membarrier", "pause",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigpending",
	"rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
	"rt_sigtimedwait_time64", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr",
	"sched_getparam", "sched_getscheduler", "sched_setaffinity",
	"sched_yield", "set_robust_list", "set_tid_address", "set_tls",
	"sigaltstack", "sigreturn",
	/* memory, but for what is both written and run */
	"brk", "madvise", "mlock", "mlock2", "mremap", "msync",
	"munlock", "munmap",
	/* time */
	"alarm", "clock_getres", "clock_getres_time64", "clock_gettime",
	"clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64",
	"getitimer", "gettimeofday", "nanosleep", "setitimer", "time", "times",
	/* about oneself and the machine */
	"capget", "get_mempolicy", "getegid", "getegid32", "geteuid",
	"geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
	"getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom",
	"getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit",
	"getrusage", "getsid", "getuid", "getuid32", "riscv_hwprobe", "sysinfo",
	"ugetrlimit", "uname",
};

/* No library of the relay's has a use for these. */
static const char *const fatal[] = {
	/* other programs, other processes */
	"execve", "execveat", "kcmp", "pidfd_getfd", "process_vm_readv",
	"process_vm_writev", "ptrace", "uselib",
	/* another view of the system */
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount",
	"mount_setattr", "move_mount", "open_by_handle_at", "open_tree",
	"pivot_root", "setns", "umount", "umount2", "unshare",
	/* the kernel itself, and its weak spots */
	"acct", "add_key", "bpf", "delete_module", "finit_module",
	"init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load",
	"keyctl", "modify_ldt", "nfsservctl", "perf_event_open", "personality",
	"quotactl", "quotactl_fd", "reboot", "request_key", "swapoff", "swapon",
	"syslog", "userfaultfd", "vhangup", "vm86", "vm86old",
	/* what is everybody's */
	"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime",
	"clock_settime64", "setdomainname", "sethostname", "settimeofday",
	"stime",
};

/* ioctls that libc and libevent use on descriptors that are no devices */
static const unsigned long ioctls[] = {
	FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, SIOCGIFINDEX, SIOCGIFNAME,
	SIOCOUTQ, TCGETS,
};

static const int prctls[] = {
	PR_GET_DUMPABLE, PR_GET_NAME, PR_SET_NAME, PR_SET_VMA,
};

/* A rule under construction: the first failure sticks. */
struct filter {
	scmp_filter_ctx ctx;
	int rc;				/* -errno */
};

static void
add(struct filter *f, uint32_t action, const char *name, unsigned n,
    const struct scmp_arg_cmp *cmp)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (f->rc == 0 && nr != __NR_SCMP_ERROR)
		f->rc = seccomp_rule_add_array(f->ctx, action, nr, n, cmp);
}

/* The argument of this number, of 32 bits. */
static struct scmp_arg_cmp
equals(unsigned arg, uint32_t value)
{
	return (struct scmp_arg_cmp){ .arg = arg, .op = SCMP_CMP_EQ,
		.datum_a = value };
}

/* Of those in the mask it has these and no others. */
static struct scmp_arg_cmp
has_bits(unsigned arg, uint64_t mask, uint64_t bits)
{
	return (struct scmp_arg_cmp){ .arg = arg, .op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask, .datum_b = bits };
}

static void
allow_if(struct filter *f, const char *name, struct scmp_arg_cmp cmp)
{
	add(f, SCMP_ACT_ALLOW, name, 1, &cmp);
}

/* Of netlink only the list of routes and addresses, which getaddrinfo sorts by. */
static void
allow_sockets(struct filter *f)
{
	const struct scmp_arg_cmp routes[] = {
		equals(0, AF_NETLINK),
		equals(2, NETLINK_ROUTE),
	};

	allow_if(f, "socket", equals(0, AF_INET));
	allow_if(f, "socket", equals(0, AF_INET6));
	allow_if(f, "socket", equals(0, AF_UNIX));
	allow_if(f, "socketpair", equals(0, AF_UNIX));
	add(f, SCMP_ACT_ALLOW, "socket", COUNT(routes), routes);
}

/* A thread, not a process; clone3 is tame()'s. */
static void
allow_threads(struct filter *f)
{
	pid_t me = getpid();
	unsigned flags = seccomp_arch_native() == SCMP_ARCH_S390X;

	allow_if(f, "clone", has_bits(flags, CLONE_THREAD,
	    CLONE_THREAD));
	allow_if(f, "kill", equals(0, (uint32_t)me));
	allow_if(f, "tgkill", equals(0, (uint32_t)me));
	allow_if(f, "prlimit64", equals(0, 0));
	/* of the thread that calls it: passwords are hashed at a low one */
	allow_if(f, "setpriority", equals(1, 0));
	add(f, SCMP_ACT_ALLOW, "clone3", 0, NULL);
}

/* Libraries that are loaded later, such as those of nsswitch.conf, are mapped from
 * files, to run and not to write. */
static void
allow_memory(struct filter *f)
{
	static const char *const mmaps[] = { "mmap", "mmap2" };
	const uint64_t both = PROT_WRITE | PROT_EXEC;
	size_t i;

	for (i = 0; i < COUNT(mmaps); i++) {
		allow_if(f, mmaps[i], has_bits(2, both, 0));
		allow_if(f, mmaps[i], has_bits(2, both, PROT_WRITE));
		allow_if(f, mmaps[i], has_bits(2, both, PROT_EXEC));
	}
	allow_if(f, "mprotect", has_bits(2, PROT_EXEC, 0));
}

/* A filter sees no flags of clone3.  Without it libc takes clone, but tries again for each
 * thread: this filter is not the one that the kernel's log hears of. */
static void
tame(struct filter *f)
{
	add(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
}

static void
permit(struct filter *f)
{
	size_t i;

	for (i = 0; i < COUNT(allowed); i++)
		add(f, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
	for (i = 0; i < COUNT(fatal); i++)
		add(f, SCMP_ACT_KILL_PROCESS, fatal[i], 0, NULL);
	for (i = 0; i < COUNT(ioctls); i++)
		allow_if(f, "ioctl", equals(1, (uint32_t)ioctls[i]));
	for (i = 0; i < COUNT(prctls); i++)
		allow_if(f, "prctl", equals(0, (uint32_t)prctls[i]));
	allow_sockets(f);
	allow_threads(f);
	allow_memory(f);
}

/* The log: so that the kernel's says what was refused, if it can. */
static int
load(struct filter *f, bool logs)
{
	int rc;

	/* calls of another ABI would be numbered otherwise */
	rc = seccomp_attr_set(f->ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS);
	/* a search by halves, for kernels that do not keep the verdicts */
	if (rc == 0)
		rc = seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(f->ctx, SCMP_FLTATR_CTL_LOG, logs);
	return rc == 0 ? seccomp_load(f->ctx) : rc;
}

static enum status
limit(uint32_t usual, void (*fill)(struct filter *), bool logs)
{
	struct filter f = { .ctx = seccomp_init(usual) };

	if (!f.ctx)
		return ST_NO_MEMORY;
	fill(&f);
	if (f.rc == 0)
		f.rc = load(&f, logs);
	seccomp_release(f.ctx);
	if (f.rc == 0)
		return ST_OK;
	errno = -f.rc;
	return f.rc == -ENOMEM ? ST_NO_MEMORY : ST_SYSTEM;
}

enum status
syscalls_limit(void)
{
	enum status st = limit(SCMP_ACT_ALLOW, tame, false);

	return st == ST_OK ? limit(SCMP_ACT_ERRNO(ENOSYS), permit, true) : st;
}
