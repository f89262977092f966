/* confine.c - another user, no way up, no view into memory, few system calls.
 * SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "io/confine.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/log.h"
#include "io/syscalls.h"

/* A sanitizer's runtime calls for what the daemon does not, and looks for leaks from a
 * process that traces this one. */
#ifdef SANITIZED
#define CAN_HIDE false
#else
#define CAN_HIDE true
#endif

static enum status
refused(const char *call, const char *hint)
{
	log_error("not-confined", "call=%s error=\"%s\" hint=\"%s\"", call,
	    strerror(errno), hint);
	return ST_SYSTEM;
}

/* ---- another user ------------------------------------------------------------- */

static enum status
unknown_user(const char *name)
{
	if (*name) {
		log_error("not-confined", "user=%s hint=\"there is no such user: "
		    "create it, or name another one in directive user, or root\"",
		    name);
		return ST_CONFIG;
	}
	log_warn("stays-root", "hint=\"there is no user " CONFINE_USER ": create "
	    "it, or name another one in directive user, or root\"");
	return ST_OK;
}

static enum status
become(const struct passwd *pw)
{
	static const char hint[] = "is root confined itself? directive user = "
	    "root leaves it as it is";

	if (initgroups(pw->pw_name, pw->pw_gid) == -1)
		return refused("initgroups", hint);
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1)
		return refused("setresgid", hint);
	if (setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
		return refused("setresuid", hint);
	errno = 0;
	if (setuid(0) != -1 || (pw->pw_gid != 0 && setgid(0) != -1))
		return refused("setuid", "root came back");
	return ST_OK;
}

static enum status
leave_root(const char *name)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return ST_OK;
	pw = getpwnam(*name ? name : CONFINE_USER);
	if (!pw)
		return unknown_user(name);
	return pw->pw_uid == 0 ? ST_OK : become(pw);
}

/* Such as the one for ports below 1024, of one who was never root; who was has none. */
static enum status
leave_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
		{ 0 } };

	if (geteuid() == 0)
		return ST_OK;
	if (syscall(SYS_capget, &head, set) == -1)
		return refused("capget", "");
	if (memcmp(set, none, sizeof(set)) == 0)
		return ST_OK;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1)
		return refused("prctl", "");
	/* the structs have no holes, and the kernel reads them only */
	if (syscall(SYS_capset, &head, none) == -1)
		return refused("capset", "may the process give up capabilities?");
	return ST_OK;
}

/* ---- memory --------------------------------------------------------------------- */

/* To be dumped is also to be traced, and to have one's /proc/PID/mem read.  A change of
 * user has taken it away, so it is set either way. */
static enum status
hide_memory(bool cores)
{
	static const struct rlimit none = { 0, 0 };

	if (!cores && setrlimit(RLIMIT_CORE, &none) == -1)
		return refused("setrlimit", "");
	if (prctl(PR_SET_DUMPABLE, cores || !CAN_HIDE, 0, 0, 0) == -1)
		return refused("prctl", "");
	return ST_OK;
}

/* ---- system calls ------------------------------------------------------------------ */

static enum status
filter(void)
{
	enum status st = syscalls_limit();

	return st == ST_SYSTEM ? refused("seccomp", "does the kernel have it, "
	    "does the service's unit let it through? directive seccomp = off "
	    "goes without") : st;
}

enum status
confine(const struct confine_opts *o)
{
	bool filtered = o->seccomp && CAN_HIDE;
	enum status st = leave_root(o->user);

	if (st == ST_OK)
		st = leave_capabilities();
	if (st == ST_OK)
		st = hide_memory(o->cores);
	if (st == ST_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		st = refused("prctl", "");
	if (st == ST_OK && filtered)
		st = filter();
	if (st == ST_OK)
		log_info("confined", "uid=%u gid=%u seccomp=%s core=%s",
		    (unsigned)geteuid(), (unsigned)getegid(),
		    filtered ? "on" : "off", o->cores ? "yes" : "no");
	return st;
}
