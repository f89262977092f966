/* process.c - what the kernel says of this process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "admin/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void
add(struct buf *out, const char *name, const char *kind, const char *help,
    double value)
{
	(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name,
	    help, name, kind, name, value);
}

static double
seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void
add_cpu(struct buf *out)
{
	struct rusage use;

	if (getrusage(RUSAGE_SELF, &use) == -1)
		return;
	add(out, "process_cpu_seconds_total", "counter",
	    "CPU time of user and system.",
	    seconds(use.ru_utime) + seconds(use.ru_stime));
}

/* proc_pid_statm(5): size, then resident, in pages. */
static void
add_memory(struct buf *out)
{
	FILE *fp = fopen("/proc/self/statm", "re");
	unsigned long long size, resident;

	if (!fp)
		return;
	if (fscanf(fp, "%llu %llu", &size, &resident) == 2)
		add(out, "process_resident_memory_bytes", "gauge",
		    "Resident memory.",
		    (double)resident * (double)sysconf(_SC_PAGESIZE));
	(void)fclose(fp);	/* nothing was written */
}

static void
add_descriptors(struct buf *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	unsigned n = 0;

	if (dir) {
		while (readdir(dir))
			n++;
		(void)closedir(dir);	/* nothing was written */
		/* beside them ".", ".." and the directory's own */
		add(out, "process_open_fds", "gauge", "Open descriptors.",
		    (double)n - 3);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		add(out, "process_max_fds", "gauge",
		    "Descriptors that may be open.", (double)limit.rlim_cur);
}

void
process_render(struct buf *out)
{
	add_cpu(out);
	add_memory(out);
	add_descriptors(out);
}
