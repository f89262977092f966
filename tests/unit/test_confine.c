/* test_confine.c - who a confined process is, and what can be seen of it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Each case is a child that is confined; what it then finds is its exit status. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/log.h"
#include "io/confine.h"

#define OTHER "nobody"
#define SKIPPED 77

#ifdef SANITIZED
#define HIDDEN 0
#else
#define HIDDEN 1
#endif

/* Bits of a child's exit status. */
enum {
	AS_SHOULD_BE = 0,
	WRONG_STATUS = 1,
	WRONG_USER = 2,
	WRONG_GROUPS = 4,
	REGAINED = 8,
	PRIVILEGES = 16,
	DUMPABLE = 32,
	FILTER = 64,
};

static uid_t other_uid;
static gid_t other_gid;

/* ---- what a child finds --------------------------------------------------------- */

static bool
is_user(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;

	return getresuid(&r, &e, &s) == 0 && getresgid(&gr, &ge, &gs) == 0 &&
	    r == uid && e == uid && s == uid &&
	    gr == gid && ge == gid && gs == gid;
}

/* Of root's supplementary groups none is left. */
static bool
only_group(gid_t gid)
{
	gid_t list[8];
	int n = getgroups(8, list), i;

	for (i = 0; i < n; i++)
		if (list[i] != gid)
			return false;
	return n >= 0;
}

static bool
has_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3];
	size_t i;

	if (syscall(SYS_capget, &head, set) == -1)
		return true;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (set[i].permitted | set[i].effective | set[i].inheritable)
			return true;
	return false;
}

/* A line of /proc/self/status. */
static int
status_number(const char *key)
{
	FILE *fp = fopen("/proc/self/status", "re");
	size_t n = strlen(key);
	char line[256];
	int value = -1;

	while (fp && fgets(line, sizeof(line), fp))
		if (strncmp(line, key, n) == 0 && line[n] == ':')
			value = atoi(line + n + 1);
	if (fp)
		(void)fclose(fp);
	return value;
}

static int
wrong(const struct confine_opts *o, uid_t uid, gid_t gid)
{
	struct rlimit core;
	int bits = 0;

	if (!is_user(uid, gid))
		bits |= WRONG_USER;
	if (uid != 0 && !only_group(gid))
		bits |= WRONG_GROUPS;
	if (uid != 0 && (setuid(0) == 0 || setgid(0) == 0 || has_capabilities()))
		bits |= REGAINED;
	if (status_number("NoNewPrivs") != 1)
		bits |= PRIVILEGES;
	if (getrlimit(RLIMIT_CORE, &core) == -1 || prctl(PR_GET_DUMPABLE) !=
	    (o->cores || !HIDDEN) || (!o->cores && core.rlim_max != 0))
		bits |= DUMPABLE;
	if (status_number("Seccomp") != (o->seccomp && HIDDEN ? 2 : 0))
		bits |= FILTER;
	return bits;
}

/* The exit status of a child that was prepared and then confined, and should then be
 * this user. */
static int
confined(void (*prepare)(void), const struct confine_opts *o, uid_t uid,
    gid_t gid)
{
	pid_t child = fork();
	int how;

	assert_int_not_equal(child, -1);
	if (child == 0) {
		if (prepare)
			prepare();
		_exit(confine(o) == ST_OK ? wrong(o, uid, gid) : WRONG_STATUS);
	}
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFEXITED(how));
	return WEXITSTATUS(how);
}

/* ---- cases ------------------------------------------------------------------------ */

static void
join_groups(void)
{
	static const gid_t groups[] = { 0, 1, 4 };

	if (setgroups(3, groups) == -1)
		_exit(WRONG_GROUPS);
}

static void
root_becomes_the_user(void **state)
{
	const struct confine_opts o = { .user = OTHER, .seccomp = true };

	(void)state;
	assert_int_equal(confined(join_groups, &o, other_uid, other_gid),
	    AS_SHOULD_BE);
}

static void
each_protection_can_be_left_out(void **state)
{
	struct confine_opts o = { .user = OTHER };

	(void)state;
	assert_int_equal(confined(join_groups, &o, other_uid, other_gid),
	    AS_SHOULD_BE);
	o = (struct confine_opts){ .user = OTHER, .cores = true };
	assert_int_equal(confined(join_groups, &o, other_uid, other_gid),
	    AS_SHOULD_BE);
	o = (struct confine_opts){ .user = "root", .seccomp = true };
	assert_int_equal(confined(NULL, &o, 0, 0), AS_SHOULD_BE);
}

static void
a_user_that_is_not_there_is_refused(void **state)
{
	const struct confine_opts o = { .user = "no-such-user",
		.seccomp = true };

	(void)state;
	assert_int_equal(confine(&o), ST_CONFIG);
	assert_true(is_user(0, 0));
}

/* Who that is depends on the machine. */
static void
without_a_name_it_is_the_usual_user(void **state)
{
	const struct confine_opts o = { .user = "", .seccomp = true };
	const struct passwd *pw = getpwnam(CONFINE_USER);
	uid_t uid = pw ? pw->pw_uid : 0;
	gid_t gid = pw ? pw->pw_gid : 0;

	(void)state;
	assert_int_equal(confined(NULL, &o, uid, gid), AS_SHOULD_BE);
}

static void
become_other(void)
{
	if (setgroups(0, NULL) == -1 || setresgid(other_gid, other_gid,
	    other_gid) == -1 || setresuid(other_uid, other_uid, other_uid) == -1)
		_exit(WRONG_USER);
}

/* As systemd's AmbientCapabilities= does. */
static void
become_other_who_binds(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = 1 << CAP_NET_BIND_SERVICE,
		  .permitted = 1 << CAP_NET_BIND_SERVICE,
		  .inheritable = 1 << CAP_NET_BIND_SERVICE },
	};

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1)
		_exit(PRIVILEGES);
	become_other();
	if (syscall(SYS_capset, &head, set) == -1 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE,
	    0, 0) == -1 || !has_capabilities())
		_exit(PRIVILEGES);
}

static void
another_stays_who_he_is(void **state)
{
	struct confine_opts o = { .user = "daemon", .seccomp = true };

	(void)state;
	assert_int_equal(confined(become_other, &o, other_uid, other_gid),
	    AS_SHOULD_BE);
	assert_int_equal(confined(become_other_who_binds, &o, other_uid,
	    other_gid), AS_SHOULD_BE);
	o.user = "no-such-user";
	assert_int_equal(confined(become_other, &o, other_uid, other_gid),
	    AS_SHOULD_BE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_becomes_the_user),
		cmocka_unit_test(each_protection_can_be_left_out),
		cmocka_unit_test(a_user_that_is_not_there_is_refused),
		cmocka_unit_test(without_a_name_it_is_the_usual_user),
		cmocka_unit_test(another_stays_who_he_is),
	};
	const struct passwd *pw = getpwnam(OTHER);

	if (geteuid() != 0 || !pw) {
		(void)puts("skipped: it takes root, who becomes " OTHER);
		return SKIPPED;
	}
	other_uid = pw->pw_uid;
	other_gid = pw->pw_gid;
	log_set_level(LOG_LEVEL_ERROR);
	cmocka_set_test_filter(getenv("RW_ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
