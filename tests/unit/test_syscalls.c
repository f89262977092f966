/* test_syscalls.c - what the kernel still does for a limited process.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each deed is done by a child that has limited itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "io/syscalls.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOT_LIMITED 99

/* 0, or errno. */
typedef int deed_fn(void);

struct deed {
	const char *what;
	deed_fn *fn;
};

/* A child's wait status. */
static int
limited(deed_fn *fn)
{
	pid_t child = fork();
	int how;

	assert_int_not_equal(child, -1);
	if (child == 0)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		    syscalls_limit() == ST_OK ? fn() : NOT_LIMITED);
	assert_int_equal(waitpid(child, &how, 0), child);
	return how;
}

static void
each_answers(const struct deed *deed, size_t n, int expected)
{
	size_t i;
	int how;

	for (i = 0; i < n; i++) {
		how = limited(deed[i].fn);
		if (!WIFEXITED(how) || WEXITSTATUS(how) != expected)
			fail_msg("%s: wait status %#x", deed[i].what,
			    (unsigned)how);
	}
}

static int
outcome(long rc)
{
	return rc == -1 ? errno : 0;
}

/* ---- what a relay does ---------------------------------------------------------- */

static int
use_files(void)
{
	char directory[] = "/tmp/test_syscalls.XXXXXX", a[64], b[64];
	struct stat st;
	int fd;

	if (!mkdtemp(directory))
		return errno;
	(void)snprintf(a, sizeof(a), "%s/a", directory);
	(void)snprintf(b, sizeof(b), "%s/b", directory);
	fd = open(a, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1 || pwrite(fd, "x", 1, 0) != 1 || ftruncate(fd, 9) == -1 ||
	    fdatasync(fd) == -1 || fstat(fd, &st) == -1 || st.st_size != 9 ||
	    rename(a, b) == -1 || unlink(b) == -1 || rmdir(directory) == -1)
		return errno;
	return 0;
}

static int
use_sockets(void)
{
	int one = 1, pair[2], tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (tcp == -1 || route == -1 || socketpair(AF_UNIX, SOCK_STREAM, 0,
	    pair) == -1 || send(pair[0], "x", 1, MSG_NOSIGNAL) != 1 ||
	    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
	    listen(tcp, 1) == -1)
		return errno;
	return 0;
}

static int
look_up(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int rc = getaddrinfo("localhost", "1", &hints, &list);

	if (rc == 0)
		freeaddrinfo(list);
	return rc == 0 ? 0 : EIO;
}

static int
wait_a_little(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	struct epoll_event e = { .events = EPOLLIN };
	int poll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);

	if (poll == -1 || event == -1 ||
	    epoll_ctl(poll, EPOLL_CTL_ADD, event, &e) == -1 ||
	    epoll_wait(poll, &e, 1, 1000) != 1)
		return errno;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL);
}

static void *
name_oneself(void *arg)
{
	*(int *)arg = pthread_setname_np(pthread_self(), "lookup");
	return NULL;
}

static int
use_threads(void)
{
	pthread_t thread;
	int named = -1, rc;

	rc = pthread_create(&thread, NULL, name_oneself, &named);
	if (rc == 0)
		rc = pthread_join(thread, NULL);
	return rc ? rc : named;
}

static int
use_memory(void)
{
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ) == -1 ||
	    madvise(p, 8192, MADV_DONTNEED) == -1)
		return errno;
	return outcome(munmap(p, 8192));
}

/* As the dynamic linker does with libraries that are loaded later. */
static int
map_a_program(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *p = fd == -1 ? MAP_FAILED : mmap(NULL, 4096,
	    PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
look_at_oneself(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return errno;
	return isatty(open("/dev/null", O_RDONLY)) == 0 && errno == ENOTTY ?
	    0 : errno;
}

static int
signal_oneself(void)
{
	(void)signal(SIGUSR1, SIG_IGN);
	return raise(SIGUSR1) || kill(getpid(), SIGUSR1) == -1 ? errno : 0;
}

static void
what_a_relay_does_is_done(void **state)
{
	static const struct deed deeds[] = {
		{ "files", use_files }, { "sockets", use_sockets },
		{ "getaddrinfo", look_up }, { "waiting", wait_a_little },
		{ "threads", use_threads }, { "memory", use_memory },
		{ "mapping a program", map_a_program },
		{ "looking at oneself", look_at_oneself },
		{ "signals to oneself", signal_oneself },
	};

	(void)state;
	each_answers(deeds, COUNT(deeds), 0);
}

/* ---- what it does not ------------------------------------------------------------- */

static int
open_packet_socket(void)
{
	return outcome(socket(AF_PACKET, SOCK_RAW, 0));
}

static int
open_audit_socket(void)
{
	return outcome(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
}

static int
start_process(void)
{
	long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (child == 0)
		_exit(0);
	return outcome(child);
}

static int
make_namespace(void)
{
	return outcome(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL,
	    NULL, NULL));
}

static int
clone_as_hidden(void)
{
	uint64_t args[8] = { CLONE_NEWUSER };

	return outcome(syscall(SYS_clone3, args, sizeof(args)));
}

static int
signal_the_parent(void)
{
	return outcome(kill(getppid(), 0));
}

static int
write_what_runs(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
run_what_was_written(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return outcome(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
become_root(void)
{
	return outcome(syscall(SYS_setresuid, 0, 0, 0));
}

static int
be_dumped(void)
{
	return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int
type_on_the_terminal(void)
{
	return outcome(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int
use_the_ring(void)
{
	return outcome(syscall(SYS_io_uring_setup, 1, NULL));
}

static int
call_the_future(void)
{
	return outcome(syscall(9999));
}

static void *
in_a_thread(void *arg)
{
	*(int *)arg = open_packet_socket();
	return NULL;
}

static int
have_a_thread_do_it(void)
{
	pthread_t thread;
	int answer = 0;

	if (pthread_create(&thread, NULL, in_a_thread, &answer) != 0 ||
	    pthread_join(thread, NULL) != 0)
		return 0;
	return answer;
}

static void
what_it_does_not_is_not_there(void **state)
{
	static const struct deed deeds[] = {
		{ "a packet socket", open_packet_socket },
		{ "an audit socket", open_audit_socket },
		{ "a process", start_process },
		{ "a namespace", make_namespace },
		{ "clone3", clone_as_hidden },
		{ "a signal to another", signal_the_parent },
		{ "memory to write and run", write_what_runs },
		{ "memory to run later", run_what_was_written },
		{ "root", become_root },
		{ "core files", be_dumped },
		{ "the terminal's input", type_on_the_terminal },
		{ "io_uring", use_the_ring },
		{ "an unknown call", call_the_future },
		{ "a thread's socket", have_a_thread_do_it },
	};

	(void)state;
	each_answers(deeds, COUNT(deeds), ENOSYS);
}

/* ---- what an intruder does ----------------------------------------------------------- */

static int
run_a_program(void)
{
	return outcome(execl("/bin/true", "true", (char *)NULL));
}

static int
trace(void)
{
	return outcome(syscall(SYS_ptrace, 0, 0, NULL, NULL));
}

static int
read_the_parent(void)
{
	return outcome(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL,
	    0, 0));
}

static int
leave_the_view(void)
{
	return outcome(syscall(SYS_unshare, CLONE_NEWUSER));
}

static int
mount_something(void)
{
	return outcome(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
}

static int
load_into_the_kernel(void)
{
	return outcome(syscall(SYS_bpf, 0, NULL, 0));
}

static int
take_keys(void)
{
	return outcome(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int
catch_faults(void)
{
	return outcome(syscall(SYS_userfaultfd, 0));
}

static void
what_only_an_intruder_does_is_his_end(void **state)
{
	static const struct deed deeds[] = {
		{ "execve", run_a_program }, { "ptrace", trace },
		{ "process_vm_readv", read_the_parent },
		{ "unshare", leave_the_view }, { "mount", mount_something },
		{ "bpf", load_into_the_kernel }, { "keyctl", take_keys },
		{ "userfaultfd", catch_faults },
	};
	size_t i;
	int how;

	(void)state;
	for (i = 0; i < COUNT(deeds); i++) {
		how = limited(deeds[i].fn);
		if (!WIFSIGNALED(how) || WTERMSIG(how) != SIGSYS)
			fail_msg("%s: wait status %#x", deeds[i].what,
			    (unsigned)how);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_relay_does_is_done),
		cmocka_unit_test(what_it_does_not_is_not_there),
		cmocka_unit_test(what_only_an_intruder_does_is_his_end),
	};

	cmocka_set_test_filter(getenv("RW_ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
